// A server by someone else (node-opcua): a genset's controller. It tells what happens as JSON lines on stdout.
// Usage: node server.js '{"port": …, "pki": …, "user": …, "password": …}'; each line of stdin is one wish, "end" the last.
"use strict";

const say = (about, content) => process.stdout.write(JSON.stringify({ about, ...content }) + "\n");
// The library writes warnings to the console, which is our stdout.
console.log = console.warn = console.info = (...words) => process.stderr.write(words.join(" ") + "\n");

const readline = require("node:readline");
const { OPCUACertificateManager } = require("node-opcua-certificate-manager");
const { DataType, MessageSecurityMode, SecurityPolicy, StatusCodes, Variant, VariantArrayType } = require("node-opcua-client");
const { OPCUAServer } = require("node-opcua-server");

const asked = JSON.parse(process.argv[2]);

const main = async () => {
    const server = new OPCUAServer({
        port: asked.port,
        hostname: "127.0.0.1",
        securityPolicies: [SecurityPolicy.None, SecurityPolicy.Basic256Sha256],
        securityModes: [MessageSecurityMode.None, MessageSecurityMode.SignAndEncrypt],
        allowAnonymous: !asked.user,
        userManager: { isValidUser: (user, password) => user === asked.user && password === asked.password },
        serverCertificateManager: new OPCUACertificateManager({ rootFolder: asked.pki, automaticallyAcceptUnknownCertificate: true }),
    });
    await server.initialize();
    const space = server.engine.addressSpace.getOwnNamespace();
    const genset = space.addObject({ organizedBy: server.engine.addressSpace.rootFolder.objects, nodeId: "s=Genset", browseName: "Genset" });
    const add = (name, dataType, value, more) => {
        const node = space.addAnalogDataItem({
            componentOf: genset, nodeId: `s=${name}`, browseName: name, dataType,
            engineeringUnitsRange: { low: 0, high: 400 }, minimumSamplingInterval: 50, ...more,
        });
        node.setValueFromSource({ dataType: DataType[dataType], value, arrayType: more?.valueRank === 1 ? VariantArrayType.Array : VariantArrayType.Scalar });
        return node;
    };
    const nodes = {
        Power: add("Power", "Double", 42.5),
        Setpoint: add("Setpoint", "Int16", 100),
        Limits: add("Limits", "Float", Float32Array.from([90, 95, 110]), { valueRank: 1, arrayDimensions: [3] }),
    };
    const ramp = space.addMethod(genset, {
        nodeId: "s=Ramp", browseName: "Ramp",
        inputArguments: [{ name: "power", dataType: DataType.Double }, { name: "label", dataType: DataType.String }],
        outputArguments: [],
    });
    ramp.bindMethod((given, context, done) => {
        const values = given.map((one) => one.value);
        say("called", { values });
        done(null, { statusCode: values[0] > 300 ? StatusCodes.BadOutOfRange : StatusCodes.Good, outputArguments: [] });
    });
    await server.start();
    say("up", { uri: space.namespaceUri });

    const wishes = {
        set({ name, value, source, status }) {
            const sourceTimestamp = source ? new Date(source) : new Date();
            nodes[name].setValueFromSource(new Variant({ dataType: DataType.Double, value }), StatusCodes[status ?? "Good"], sourceTimestamp);
        },
        // its subscriptions and sessions are gone, and the connection stands
        forget() {
            for (const session of Object.values(server.engine._sessions)) server.engine.closeSession(session.authenticationToken, true, "Forcing");
        },
        read({ name }) {
            const found = nodes[name].readValue().value;
            return { value: Array.from(found.value.length === undefined ? [found.value] : found.value) };
        },
    };
    for await (const line of readline.createInterface({ input: process.stdin })) {
        if (line === "end") break;
        const wish = JSON.parse(line);
        say(wish.wish, (await wishes[wish.wish](wish)) ?? {});
    }
    await server.shutdown(0);
    process.exit(0);
};
main().catch((error) => { process.stderr.write(`${error.stack}\n`); process.exit(1); });
