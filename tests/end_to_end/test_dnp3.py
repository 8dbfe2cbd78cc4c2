"""The utility's master at the demo: opendnp3's, over TCP, from poll to a feeder's breaker and back."""

import threading

import opendnp3


class Heard(opendnp3.ISOEHandler):
    """The newest value and flags of every point."""

    def __init__(self):
        super().__init__()
        self.points = {}

    def BeginFragment(self, info):  # noqa: N802 - opendnp3's names
        pass

    def EndFragment(self, info):  # noqa: N802
        pass

    def Process(self, info, values):  # noqa: N802
        group = info.gv.name.partition("Var")[0].removeprefix("Group")
        kind = {
            "1": "binary",
            "2": "binary",
            "30": "analog",
            "32": "analog",
            "20": "counter",
            "22": "counter",
        }.get(group)
        for one in values:
            self.points[kind, one.index] = one.value.value, one.value.flags.value & 0x7F


def test_the_utility_reads_the_site_and_opens_a_feeder(demo, region):
    demo.until_well(region)
    heard = Heard()
    manager = opendnp3.DNP3Manager(1)
    try:
        channel = manager.AddTCPClient(
            "utility", opendnp3.levels.NOTHING, opendnp3.ChannelRetry.Default(),
            [opendnp3.IPEndpoint("127.0.0.1", demo.site.dnp3.port)], "0.0.0.0", None,  # noqa: S104
        )  # fmt: skip
        config = opendnp3.MasterStackConfig()
        config.link.LocalAddr, config.link.RemoteAddr = 1, 10
        application = opendnp3.IMasterApplication()
        master = channel.AddMaster("utility", heard, application, config)
        master.Enable()
        demo.until(lambda: heard.points.get(("binary", 14)) == (True, 1))
        demo.until(lambda: abs(heard.points["analog", 0][0] - region.sample("pcc.power_kw").value) < 1.0)
        demo.until(
            lambda: heard.points["counter", 0] == (int(region.sample("pcc.import_energy_kwh").value), 1)
        )

        def operate(code):
            ended, results = threading.Event(), []

            def result(found):
                results.extend((one.state.name, one.status.name) for one in found.to_list())
                ended.set()

            wish = opendnp3.ControlRelayOutputBlock(opendnp3.OperationType.PULSE_ON, code)
            master.SelectAndOperate(wish, 0, result)
            assert ended.wait(15)
            return results

        assert operate(opendnp3.TripCloseCode.TRIP) == [("SUCCESS", "SUCCESS")]
        demo.until(lambda: heard.points["binary", 14][0] is False)
        assert region.sample("feeder4.breaker_closed").value is False
        assert operate(opendnp3.TripCloseCode.CLOSE) == [("SUCCESS", "SUCCESS")]
        demo.until(lambda: heard.points["binary", 14] == (True, 1))
        audit = demo.paths.audit.read_text()
        assert '"dnp3"' in audit
    finally:
        manager.Shutdown()
