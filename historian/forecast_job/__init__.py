"""Forecasts of a running site: issued, kept, scored, and trained anew each night. What others read is here."""

from historian.forecast_job.issued import Issued, issued_between, latest_forecast
from historian.forecast_job.store import NoForecast

__all__ = ["Issued", "NoForecast", "issued_between", "latest_forecast"]
