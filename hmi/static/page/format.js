// Values, ages and statuses as an operator reads them.

const MINUS = "\u2212";
const THIN = "\u202f"; // narrow no-break space between thousands (ISO 80000-1 7.3.1)
const DEFAULT_DECIMALS = 2;
export const NO_VALUE = "\u2013\u2013\u2013";

const SHORT = {
  CommunicationError: "Comm",
  NoCommunication: "No comm",
  NotConnected: "Not connected",
  WaitingForInitialData: "Waiting",
  EngineeringUnitsExceeded: "Range",
  OutOfRange: "Range",
  DataSubNormal: "Partly measured",
  LastUsableValue: "Last usable",
  SensorFailure: "Sensor",
  DeviceFailure: "Device",
  OutOfService: "Out of service",
  NotSupported: "Not supported",
  ConfigurationError: "Config",
  DataEncodingInvalid: "Encoding",
  NodeIdUnknown: "Unknown point",
};

// The low 16 bits of a StatusCode are flags (OPC 10000-4 7.39).
export function codeOf(status) {
  return (status & 0xffff0000) >>> 0;
}

export function reasonOf(status, names) {
  const name = names[codeOf(status)];
  if (name === undefined) return `0x${(status >>> 0).toString(16).toUpperCase().padStart(8, "0")}`;
  const reason = name.split("_")[1] ?? "";
  return SHORT[reason] ?? reason.replace(/([a-z])([A-Z])/g, "$1 $2");
}

export function numberText(value, decimals = DEFAULT_DECIMALS) {
  const fixed = Math.abs(value).toFixed(decimals);
  const [whole, fraction] = fixed.split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, THIN);
  const isZero = !/[1-9]/.test(fixed); // no minus before a zero
  return `${value < 0 && !isZero ? MINUS : ""}${grouped}${fraction ? `.${fraction}` : ""}`;
}

export function valueText(tag) {
  const { value } = tag;
  if (value === null) return NO_VALUE;
  if (typeof value === "boolean") return tag.states[value ? 1 : 0] ?? (value ? "yes" : "no");
  if (tag.type === "string") return value;
  if (Object.keys(tag.states).length) return tag.states[value] ?? `${value} (unknown state)`;
  if (typeof value === "string") return value.replace("-", MINUS).replace(/\B(?=(\d{3})+$)/g, THIN); // beyond 2^53
  return numberText(value, tag.decimals ?? (tag.type === "double" ? DEFAULT_DECIMALS : 0));
}

export function durationText(ms) {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 120) return `${seconds}${THIN}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}${THIN}min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}${THIN}h`;
  return `${Math.floor(seconds / 86_400)}${THIN}d`;
}

export function utcText(ms) {
  return new Date(ms).toISOString().slice(11, 19);
}

const local = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" });

export function localText(ms) {
  return local.format(ms);
}

// As the clock of the page's own computer has it: 05:12, or 21 Nov 05:12 on another day.
export function sinceText(ms) {
  const then = new Date(ms);
  const time = timeOfDay.format(then);
  return then.toDateString() === new Date().toDateString() ? time : `${day.format(then)} ${time}`;
}

const timeOfDay = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
