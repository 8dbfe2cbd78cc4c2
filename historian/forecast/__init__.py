"""Features and forecasts out of history. The estimator, which needs scikit-learn, is in ``forecaster``."""

from historian.forecast.calendar import CALENDAR_TERMS, Civil
from historian.forecast.feature_set import NAMED_SIGNALS, FeatureSet, Missing, NetLoad
from historian.forecast.features import FeatureStream, Kernel, NotPrimed, batch, feature_frame, row_of

__all__ = [
    "CALENDAR_TERMS",
    "NAMED_SIGNALS",
    "Civil",
    "FeatureSet",
    "FeatureStream",
    "Kernel",
    "Missing",
    "NetLoad",
    "NotPrimed",
    "batch",
    "feature_frame",
    "row_of",
]
