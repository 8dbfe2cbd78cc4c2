// A client by someone else (node-opcua): does what a SCADA system does, and tells it as JSON lines on stdout.
// Usage: node client.js '{"url": …, "pki": …, "user": …, "password": …}'; each line of stdin is one wish, "end" the last.
"use strict";

const readline = require("node:readline");
const {
    AggregateConfiguration, AttributeIds, BrowseDirection, ClientMonitoredItem, DataType, HistoryReadRequest,
    MessageSecurityMode, OPCUAClient, ReadAtTimeDetails, ReadProcessedDetails, ReadRawModifiedDetails, SecurityPolicy,
    TimestampsToReturn, UserTokenType, makeBrowsePath, resolveNodeId,
} = require("node-opcua-client");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");

const say = (about, content) => process.stdout.write(JSON.stringify({ about, ...content }) + "\n");
// The library writes warnings to the console, which is our stdout.
console.log = console.warn = console.info = (...words) => process.stderr.write(words.join(" ") + "\n");

// Every page of one node's history, under one set of details.
async function historyOf(session, node, historyReadDetails) {
    const values = [];
    let continuationPoint = null, pages = 0, status;
    do {
        const response = await session.historyRead(new HistoryReadRequest({
            historyReadDetails, nodesToRead: [{ nodeId: node, continuationPoint }],
            timestampsToReturn: TimestampsToReturn.Source, releaseContinuationPoints: false,
        }));
        const result = response.results[0];
        status = result.statusCode.name;
        values.push(...(result.historyData?.dataValues ?? []));
        continuationPoint = result.continuationPoint?.length ? result.continuationPoint : null;
        pages += 1;
    } while (continuationPoint && pages < 100);
    return { status, values, pages };
}

// A StatusCode as its number, so that its info bits are told too.
const plain = (value) => value?.constructor.name.includes("StatusCode") ? value.value : value ?? null;
const withBits = ({ values, ...more }) => ({
    ...more, values: values.map((v) => [v.sourceTimestamp.getTime(), plain(v.value?.value), v.statusCode.value]),
});

const wishes = {
    async browse(session, { node }) {
        const result = await session.browse({ nodeId: node, browseDirection: BrowseDirection.Forward, resultMask: 63 });
        return {
            status: result.statusCode.name,
            found: result.references.map((r) => ({ name: r.browseName.name, node: r.nodeId.toString(), type: r.typeDefinition.toString() })),
        };
    },
    async translate(session, { path }) {
        const result = await session.translateBrowsePath(makeBrowsePath("ObjectsFolder", path));
        return { status: result.statusCode.name, node: result.targets?.[0]?.targetId.toString() };
    },
    async read(session, { node, attribute }) {
        const found = await session.read({ nodeId: node, attributeId: AttributeIds[attribute ?? "Value"] });
        return {
            status: found.statusCode.name,
            value: found.value?.value?.toJSON?.() ?? found.value?.value ?? null,
            source: found.sourceTimestamp?.getTime() ?? null,
            server: found.serverTimestamp?.getTime() ?? null,
        };
    },
    async write(session, { node, type, value }) {
        const status = await session.write({
            nodeId: node, attributeId: AttributeIds.Value, value: { value: { dataType: DataType[type], value } },
        });
        return { status: status.name };
    },
    async watch(session, { node, queue }) {
        const subscription = await session.createSubscription2({
            requestedPublishingInterval: 100, requestedLifetimeCount: 1000, requestedMaxKeepAliveCount: 10,
            maxNotificationsPerPublish: 0, publishingEnabled: true, priority: 1,
        });
        const item = ClientMonitoredItem.create(
            subscription, { nodeId: node, attributeId: AttributeIds.Value },
            { samplingInterval: 0, queueSize: queue, discardOldest: true }, TimestampsToReturn.Both,
        );
        item.on("changed", (found) => say("change", {
            node, status: found.statusCode.name, value: found.value?.value ?? null,
            source: found.sourceTimestamp?.getTime() ?? null, server: found.serverTimestamp?.getTime() ?? null,
        }));
        return { status: "Good" };
    },
    async history(session, { node, start, end, page }) {
        const historyReadDetails = new ReadRawModifiedDetails({
            isReadModified: false, startTime: new Date(start), endTime: new Date(end), numValuesPerNode: page, returnBounds: false,
        });
        const { values, ...more } = await historyOf(session, node, historyReadDetails);
        return { ...more, values: values.map((v) => [v.sourceTimestamp.getTime(), v.value.value, v.statusCode.name]) };
    },
    async processed(session, { node, aggregate, start, end, interval, configuration }) {
        const historyReadDetails = new ReadProcessedDetails({
            startTime: new Date(start), endTime: new Date(end), processingInterval: interval, aggregateType: [resolveNodeId(aggregate)],
            aggregateConfiguration: new AggregateConfiguration(configuration ?? { useServerCapabilitiesDefaults: true }),
        });
        return withBits(await historyOf(session, node, historyReadDetails));
    },
    async atTimes(session, { node, times }) {
        const historyReadDetails = new ReadAtTimeDetails({ reqTimes: times.map((time) => new Date(time)), useSimpleBounds: true });
        return withBits(await historyOf(session, node, historyReadDetails));
    },
};

async function main(options) {
    const clientCertificateManager = new OPCUACertificateManager({ rootFolder: options.pki, automaticallyAcceptUnknownCertificate: true });
    await clientCertificateManager.initialize();
    const client = OPCUAClient.create({
        applicationName: "interop", applicationUri: "urn:interop:node-opcua", clientCertificateManager,
        securityMode: MessageSecurityMode[options.mode ?? "SignAndEncrypt"], securityPolicy: SecurityPolicy[options.policy ?? "Basic256Sha256"],
        endpointMustExist: false, connectionStrategy: { maxRetry: 0 },
    });
    await client.createDefaultCertificate();
    client.on("backoff", () => {});
    await client.connect(options.url);
    const session = await client.createSession(
        options.user
            ? { type: UserTokenType.UserName, userName: options.user, password: options.password }
            : { type: UserTokenType.Anonymous },
    );
    say("signed in", { policy: client.securityPolicy, mode: MessageSecurityMode[client.securityMode] });
    for await (const line of readline.createInterface({ input: process.stdin })) {
        const { wish, ...more } = JSON.parse(line);
        if (wish === "end") break;
        say(wish, await wishes[wish](session, more));
    }
    await session.close(true);
    await client.disconnect();
    say("ended", {});
}

main(JSON.parse(process.argv[2])).then(
    () => process.exit(0),
    (error) => { say("failed", { error: error.message }); process.exit(1); },
);
