"""Anomalies out of history and as they come: scores from 0 to 1, alarms, and how good they were."""

from historian.anomaly.alarms import Alarms, AlarmSettings
from historian.anomaly.balance import EnergyBalance, MeterAgainstFeeder, Suspect
from historian.anomaly.catalogue import DETECTORS
from historian.anomaly.detector import ALARM, Detector, NotFitted, Observation, TooLittle
from historian.anomaly.group import Forest, Pca, q_limit, t2_limit
from historian.anomaly.judge import Verdict, Window, judge
from historian.anomaly.shape import Shape
from historian.anomaly.tags import Clock, FlatLine, Gaussian, Missing, Range, Rate

__all__ = [
    "ALARM",
    "DETECTORS",
    "AlarmSettings",
    "Alarms",
    "Clock",
    "Detector",
    "EnergyBalance",
    "FlatLine",
    "Forest",
    "Gaussian",
    "MeterAgainstFeeder",
    "Missing",
    "NotFitted",
    "Observation",
    "Pca",
    "Range",
    "Rate",
    "Shape",
    "Suspect",
    "TooLittle",
    "Verdict",
    "Window",
    "judge",
    "q_limit",
    "t2_limit",
]
