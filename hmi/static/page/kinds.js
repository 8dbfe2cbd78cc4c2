// What the single line knows of a microgrid's devices: a table, so that a new kind is a new row.
//
// A device's kind is told by its name (docs/hmi.md). Powers follow the house sign: sources are positive when they feed
// the bus, loads are demand, positive.

export const KINDS = [
  {
    kind: "utility",
    match: /^pcc\d*$/,
    side: "source",
    title: "Utility tie",
    symbol: "utility",
    positive: "IMPORT",
    negative: "EXPORT",
    breaker: "breaker_closed",
    farVoltage: "grid_voltage_v",
    facts: [
      ["grid_voltage_v", "Grid voltage"],
      ["grid_frequency_hz", "Grid frequency"],
      ["reactive_power_kvar", "Reactive power"],
      ["import_energy_kwh", "Imported"],
      ["export_energy_kwh", "Exported"],
    ],
  },
  {
    kind: "pv",
    match: /^pv\d*$/,
    side: "source",
    title: "Solar",
    symbol: "pv",
    positive: "GENERATING",
    negative: "CONSUMING",
    setpoint: "power_limit_kw",
    state: "state",
    facts: [
      ["power_limit_kw", "Limit"],
      ["irradiance_w_m2", "Irradiance"],
      ["temperature_c", "Temperature"],
      ["energy_kwh", "Generated"],
    ],
  },
  {
    kind: "wind",
    match: /^wind\d*$/,
    side: "source",
    title: "Wind",
    symbol: "wind",
    positive: "GENERATING",
    negative: "CONSUMING",
    setpoint: "power_limit_kw",
    state: "state",
    facts: [
      ["power_limit_kw", "Limit"],
      ["wind_speed_m_s", "Wind speed"],
      ["energy_kwh", "Generated"],
    ],
  },
  {
    kind: "battery",
    match: /^battery\d*$/,
    side: "source",
    title: "Battery",
    symbol: "battery",
    positive: "DISCHARGING",
    negative: "CHARGING",
    setpoint: "power_setpoint_kw",
    state: "state",
    level: ["state_of_charge_pct", "Charge"],
    facts: [
      ["power_setpoint_kw", "Setpoint"],
      ["grid_forming", "Grid forming"],
      ["voltage_v", "DC voltage"],
      ["temperature_c", "Temperature"],
    ],
  },
  {
    kind: "genset",
    match: /^genset\d*$/,
    side: "source",
    title: "Genset",
    symbol: "genset",
    positive: "GENERATING",
    negative: "MOTORING",
    setpoint: "power_setpoint_kw",
    state: "state",
    level: ["fuel_pct", "Fuel"],
    facts: [
      ["power_setpoint_kw", "Setpoint"],
      ["speed_rpm", "Speed"],
      ["energy_kwh", "Generated"],
    ],
  },
  {
    kind: "feeder",
    match: /^feeder\d*$/,
    side: "load",
    title: "Feeder",
    symbol: "load",
    positive: "", // what a load does
    negative: "FEEDING BACK",
    idle: "",
    breaker: "breaker_closed",
    facts: [
      ["voltage_v", "Voltage"],
      ["priority", "Priority"],
    ],
  },
  {
    kind: "charger",
    match: /^ev\d*$/,
    side: "load",
    gathered: true, // all of them hang on one drop
    isSource: true, // positive towards the bus, although it is drawn below
    title: "Vehicle chargers",
    symbol: "charger",
    positive: "GIVING BACK",
    negative: "CHARGING",
    brief: { positive: "V2G", negative: "charging" }, // a cell is narrow
    state: "state",
    connected: "connected",
    level: ["state_of_charge_pct", "Charge"],
    facts: [],
  },
];

export const POWER = "power_kw";
export const BUS_VOLTAGE = "voltage_v"; // of the utility tie, measured on the bus
export const BUS_FREQUENCY = "frequency_hz";
export const ISLANDED = "islanded";

// The headline's sums: of the power of every device of these kinds.
export const TOTALS = [
  { id: "generation", label: "Generation", kinds: ["pv", "wind", "genset"] },
  { id: "storage", label: "Battery", kinds: ["battery"], positive: "discharging", negative: "charging" },
  { id: "vehicles", label: "Vehicles", kinds: ["charger"], positive: "giving back", negative: "charging" },
  { id: "load", label: "Load", kinds: ["feeder"] },
  { id: "exchange", label: "Grid", kinds: ["utility"], positive: "import", negative: "export" },
];

export const TRENDS = [
  { label: "Grid power", total: "exchange", unit: "kW", decimals: 1, leastSpan: 10 },
  { label: "Bus frequency", point: ["utility", BUS_FREQUENCY], unit: "Hz", decimals: 2, leastSpan: 0.2 },
  { label: "Load", total: "load", unit: "kW", decimals: 1, leastSpan: 10 },
];

export function kindOf(device) {
  return KINDS.find(({ match }) => match.test(device)) ?? null;
}
