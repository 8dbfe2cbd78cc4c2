"""The worked examples of OPC 10000-13 v1.05, Annex A: its AggregateExamples.csv, in short.

A row of an answer is ``[@seconds:][value]status[bits]``: seconds after 12:00:00 where the time is not that of the
interval; status g Good, u Uncertain_DataSubNormal, v Uncertain, b Bad, n Bad_NoData; bits c Calculated, i
Interpolated, p Partial, m MultipleValues. AnnotationCount is elsewhere, by Table A.18 of v1.04: in the file it
equals the number of samples, annotated or not.

The annex is informative. Where it contradicts the text of the clauses, the text holds, and `CONTRADICTED` says which
rows and why. Where the text leaves a choice or contradicts itself, the examples are followed: nothing is extrapolated
for intervals that begin after the data (TimeAverage, Total); MinimumActualTime and its like are not Calculated where
they are Uncertain; many samples that are all Good are no MultipleValues of WorstQuality; and WorstQuality2 counts the
bound at the end, too.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gateway.tags.aggregate import BY_TITLE, Aggregate, AggregateConfiguration
from gateway.tags.tag import ValueType
from historian.query.aggregates.intervals import MAX_INTERVALS, intervals
from historian.query.aggregates.known import Known
from historian.query.aggregates.table import calculate
from historian.query.around import LOOK_AROUND
from historian.query.processing import MAX_SAMPLES

# Stepped, TreatUncertainAsBad, PercentDataBad, PercentDataGood, UseSlopedExtrapolation
SETTINGS = {
    1: (False, False, 100, 100, False),
    2: (False, True, 100, 100, True),
    3: (True, True, 50, 50, False),
    4: (True, True, 100, 100, False),
    5: (False, False, 100, 100, False),
}

_NON_PERIODIC = "0:n 2:10g 25:20g 28:25g 39:30g 42:b 48:40g 52:50g 72:60g 77:70v 83:70g 86:80g 90:90g"
SAMPLES = {  # seconds after 12:00:00, value, status
    1: "0:n 10:10g 20:20g 30:30g 40:b 50:50g 60:60g 70:70v 80:80g 90:90g",
    2: _NON_PERIODIC,
    3: _NON_PERIODIC,
    4: "0:n 2:1g 25:0g 28:1g 39:1g 42:b 48:1g 52:0g 72:0g 77:1v 83:1g 86:0g 90:1g",
    5: "0:n 2:10g 25:20g 28:10g 39:30g 42:b 48:30g 52:50g 72:30g 77:70v 83:70g 86:80g 90:70g",
}
END_S = 100

INTERVAL_S = dict.fromkeys(
    ("Interpolative", "Average", "TimeAverage", "TimeAverage2", "Total", "Total2"), 5
) | (
    dict.fromkeys(
        (
            "StandardDeviationPopulation",
            "VariancePopulation",
            "StandardDeviationSample",
            "VarianceSample",
        ),
        20,
    )
)  # all others: 16

ANSWERS: dict[tuple[str, int], str] = {
    (
        "Interpolative",
        1,
    ): "n n 10g 15gi 20g 25gi 30g 35ui 40ui 45ui 50g 55gi 60g 65ui 70v 75ui 80g 85gi 90g 90ui",
    (
        "Interpolative",
        2,
    ): "n 11.304gi 13.478gi 15.652gi 17.826gi 20g 25.909gi 28.182gi 31.111ui 36.667ui 45gi 51.5gi"
    " 54gi 56.5gi 59gi 62.727ui 67.273ui 76.667gi 90g 102.5ui",
    (
        "Interpolative",
        3,
    ): "n 10gi 10gi 10gi 10gi 20g 25gi 25gi 30gi 30ui 40gi 50gi 50gi 50gi 50gi 60gi 60ui 70gi 90g 90ui",
    (
        "Interpolative",
        5,
    ): "n 11.3043gi 13.4783gi 15.6522gi 17.8261gi 20g 13.6364gi 22.7273gi 30ui 30ui 40gi 47gi 42gi"
    " 37gi 32gi 54ui 70ui 76.6667gi 70g 70ui",
    ("Average", 1): "n n 10gc n 20gc n 30gc n n n 50gc n 60gc n n n 80gc n 90gc n",
    ("Average", 2): "10gc n n n n 22.5gc n 30gc n 40gc 50gc n n n 60gc n 70gc 80gc 90gc n",
    ("Average", 3): "10gc n n n n 22.5gc n 30gc n 40gc 50gc n n n 60gc n 70gc 80gc 90gc n",
    ("Average", 5): "10gc n n n n 15gc n 30gc n 30gc 50gc n n n 30gc n 70gc 80gc 70gc n",
    (
        "TimeAverage",
        1,
    ): "n n 12.5gc 17.5gc 22.5gc 27.5gc 32.5uc 37.5uc 42.5uc 47.5uc 52.5gc 57.5gc 62.5uc 67.5uc"
    " 72.5uc 77.5uc 82.5gc 87.5gc 90ucp n",
    (
        "TimeAverage",
        2,
    ): "10.652ucp 12.391gc 14.565gc 16.739gc 18.913gc 23.682gc 27.045gc 29.384uc 33.889uc 40uc"
    " 49.45gc 52.75gc 55.25gc 57.75gc 60.618uc 65uc 70.515uc 83.667gc 96.25ucp n",
    (
        "TimeAverage",
        3,
    ): "10.652ucp 12.391gc 14.565gc 16.739gc 18.913gc 23.682gc 27.045gc 29.384uc 33.889uc 40uc"
    " 49.45gc 52.75gc 55.25gc 57.75gc 60.618uc 65uc 70.515uc 83.667gc 90ucp n",
    (
        "TimeAverage",
        5,
    ): "10.6522ucp 12.3913gc 14.5652gc 16.7391gc 18.913gc 13.7273gc 18.1818gc 27.0909uc 30uc 32uc"
    " 47.1gc 44.5gc 39.5gc 34.5gc 37.6uc 66.8uc 71.3333uc 75.6667gc 70ucp n",
    (
        "TimeAverage2",
        1,
    ): "n n 12.5gc 17.5gc 22.5gc 27.5gc 30gc 30gc n n 52.5gc 57.5gc 62.5gc 67.5gc 72.5gc 77.5gc"
    " 82.5gc 87.5gc 90gcp n",
    (
        "TimeAverage2",
        2,
    ): "10.652ucp 12.391gc 14.565gc 16.739gc 18.913gc 23.682gc 27.045gc 29.273uc bc 42.5uc 49.45gc"
    " 52.75gc 55.25gc 57.75gc 59.8uc bc 73.333uc 83.667gc bcp n",
    (
        "TimeAverage2",
        3,
    ): "10gcp 10gc 10gc 10gc 10gc 22gc 25gc 26gc 30uc 40uc 46gc 50gc 50gc 50gc 56gc 60uc 70uc 78gc 90gcp n",
    (
        "TimeAverage2",
        5,
    ): "10.6522ucp 12.3913gc 14.5652gc 16.7391gc 18.913gc 13.7273gc 18.1818gc 27.0909gc 30uc 35uc"
    " 47.1gc 44.5gc 39.5gc 34.5gc 37.6gc 66.8gc 71.3333gc 75.6667gc 70gcp n",
    (
        "Total",
        1,
    ): "n n 62.5gc 87.5gc 112.5gc 137.5gc 162.5uc 187.5uc 212.5uc 237.5uc 262.5gc 287.5gc 312.5uc 337.5uc"
    " 362.5uc 387.5uc 412.5gc 437.5gc 450ucp n",
    (
        "Total",
        2,
    ): "31.957ucp 61.957gc 72.826gc 83.696gc 94.565gc 118.409gc 135.227gc 146.919uc 169.444uc 200uc"
    " 247.25gc 263.75gc 276.25gc 288.75gc 303.091uc 325uc 352.576uc 418.333gc 481.25ucp n",
    (
        "Total",
        3,
    ): "30ucp 50gc 50gc 50gc 50gc 110gc 125gc 130gc 150uc 170uc 230gc 250gc 250gc 250gc 280gc 300uc 320uc"
    " 390gc 450ucp n",
    (
        "Total",
        5,
    ): "31.9565ucp 61.9565gc 72.8261gc 83.6957gc 94.5652gc 68.6364gc 90.9091gc 135.4545uc 150uc 160uc"
    " 235.5gc 222.5gc 197.5gc 172.5gc 188uc 334uc 356.6667uc 378.3333gc 350ucp n",
    (
        "Total2",
        1,
    ): "n n 62.5gc 87.5gc 112.5gc 137.5gc 150gc 150gc n n 262.5gc 287.5gc 312.5gc 337.5gc 362.5gc 387.5gc"
    " 412.5gc 437.5gc 0.09gcp n",
    (
        "Total2",
        2,
    ): "31.957ucp 61.957gc 72.826gc 83.696gc 94.565gc 118.409gc 135.227gc 146.364uc bc 85uc 247.25gc"
    " 263.75gc 276.25gc 288.75gc 299uc bc 146.667uc 418.333gc bcp n",
    (
        "Total2",
        3,
    ): "30gcp 50gc 50gc 50gc 50gc 110gc 125gc 130gc 60uc 80uc 230gc 250gc 250gc 250gc 280gc 120uc 140uc"
    " 390gc 0.09gcp n",
    (
        "Total2",
        5,
    ): "31.9565ucp 61.9565gc 72.8261gc 83.6957gc 94.5652gc 68.6364gc 90.9091gc 135.4545gc 60uc 70uc"
    " 235.5gc 222.5gc 197.5gc 172.5gc 188gc 334gc 356.6667gc 378.3333gc 0.07gcp n",
    ("Minimum", 1): "10gcp 20gc n 50gc n 80gp n",
    ("Minimum", 2): "10gcp 20gc 30uc 40g 60uc 70gcp n",
    ("Minimum", 3): "10gcp 20gc 30uc 40g 60uc 70gcp n",
    ("Minimum", 5): "10gcp 10gc 30uc 30g 30gc 70gcmp n",
    ("Maximum", 1): "10gcp 30gc n 60gc n 90gcp n",
    ("Maximum", 2): "10gcp 25gc 30uc 50gc 60uc 90gcp n",
    ("Maximum", 3): "10gcp 25gc 30uc 50gc 60uc 90gcp n",
    ("Maximum", 5): "10gcp 20gc 30uc 50gc 30gc 80gcp n",
    ("MinimumActualTime", 1): "@10:10gp @20:20g n @50:50g n 80gp n",
    ("MinimumActualTime", 2): "@2:10gp @25:20g @39:30u 40g @72:60u @83:70gp n",
    ("MinimumActualTime", 3): "@2:10gp @25:20g @39:30u 40g @72:60u @83:70gp n",
    ("MinimumActualTime", 5): "@2:10gp @28:10g @39:30u 30g @72:30g @83:70gmp n",
    ("MaximumActualTime", 1): "@10:10gp @30:30g n @60:60g n @90:90gp n",
    ("MaximumActualTime", 2): "@2:10gp @28:25g @39:30u @52:50g @72:60u @90:90gp n",
    ("MaximumActualTime", 3): "@2:10gp @28:25g @39:30u @52:50g @72:60u @90:90gp n",
    ("MaximumActualTime", 5): "@2:10gp @25:20g @39:30u @52:50g @72:30g @86:80gp n",
    ("Range", 1): "0gcp 10gc n 10gc n 10gcp n",
    ("Range", 2): "0gcp 5gc 0uc 10gc 0uc 20gcp n",
    ("Range", 3): "0gcp 5gc 0uc 10gc 0uc 20gcp n",
    ("Range", 5): "0gcp 10gc 0uc 20gc 0gc 10gcp n",
    ("Minimum2", 1): "10ucp 16gi 30ui 50uc 64gi 80gp n",
    ("Minimum2", 2): "10ucp 16.087gi 26.818ui 40g 56ui 70ucp n",
    ("Minimum2", 3): "10gcp 10gi 25gi 40g 50gi 70gcp n",
    ("Minimum2", 5): "10ucp 10gc 17.2727ui 30g 30gc 70gimp n",
    ("Maximum2", 1): "16uip 30gcm 30ui 64ui 80gc 90gcp n",
    ("Maximum2", 2): "16.087uip 26.818gi 40uc 56gi 60uc 90ucp n",
    ("Maximum2", 3): "10gcp 25gc 30gc 50gc 60gc 90gcp n",
    ("Maximum2", 5): "16.087uip 20gc 30ucm 50gc 70gcm 80gcp n",
    ("MinimumActualTime2", 1): "@10:10up 16gi 30ui @50:50u 64gi 80gp n",
    ("MinimumActualTime2", 2): "@2:10up 16.087gi 26.818ui 40g 56ui @83:70up n",
    ("MinimumActualTime2", 3): "@2:10gp 10gi 25gi 40g 50gi @83:70gp n",
    ("MinimumActualTime2", 5): "@2:10up @28:10g 17.2727ui 30g @72:30g 70gimp n",
    ("MaximumActualTime2", 1): "@15.999:16uip @30:30gm 30ui @63.999:64ui @79.999:80gi @90:90gp n",
    (
        "MaximumActualTime2",
        2,
    ): "@15.999:16.087uip @31.999:26.818gi @47.999:40ui @63.999:56gi @72:60u @90:90up n",
    ("MaximumActualTime2", 3): "@2:10gp @28:25g @39:30g @52:50g @72:60g @90:90gp n",
    ("MaximumActualTime2", 5): "@15.999:16.087uip @25:20g @39:30um @52:50g @77:70gm @86:80gp n",
    ("Range2", 1): "6ucp 14gc 0uc 14uc 16gc 10gcp n",
    ("Range2", 2): "6.087ucp 10.731gc 13.182uc 16gc 4uc 20ucp n",
    ("Range2", 3): "0gcp 15gc 5gc 10gc 10gc 20gcp n",
    ("Range2", 5): "6.087ucp 10gc 12.7273uc 20gc 40gc 10gcp n",
    ("Count", 1): "1gcp 2gc b 2gc 0uc 2gcp n",
    ("Count", 2): "1gcp 2gc 1uc 2gc 1uc 3gcp n",
    ("Count", 3): "1gcp 2gc 1gc 2gc 1gc 3gcp n",
    ("Count", 4): "1gcp 2gc 1uc 2gc 1uc 3gcp n",
    ("Count", 5): "1gcp 2gc 1uc 2gc 1uc 3gcp n",
    ("DurationInStateZero", 1): "0ucp 0gc 0uc 0uc 0gc 0gcp n",
    ("DurationInStateZero", 2): "0ucp 0gc 0uc 0gc 0uc 0ucp n",
    ("DurationInStateZero", 3): "0gcp 0gc 0gc 0gc 0gc 0gcp n",
    ("DurationInStateZero", 4): "0ucp 3000gc 0uc 12000gc 13000uc 4000ucp n",
    ("DurationInStateZero", 5): "0ucp 0gc 0uc 0gc 0gc 0gcp n",
    ("DurationInStateNonZero", 1): "6000ucp 16000gc 0uc 14000uc 0gc 10001gcp n",
    ("DurationInStateNonZero", 2): "14000ucp 16000gc 10000uc 16000gc 13000uc 7001ucp n",
    ("DurationInStateNonZero", 3): "14000gcp 16000gc 10000gc 16000gc 13000gc 7001gcp n",
    ("DurationInStateNonZero", 4): "14000ucp 13000gc 10000uc 4000gc 0uc 3001ucp n",
    ("DurationInStateNonZero", 5): "14000ucp 16000gc 10000uc 16000gc 13000gc 7001gcp n",
    ("NumberOfTransitions", 1): "1gcp 2gc b 2gc 1uc 2gcp n",
    ("NumberOfTransitions", 2): "1gcp 2gc 1uc 2gc 1uc 3gcp n",
    ("NumberOfTransitions", 3): "1gcp 2gc 1gc 2gc 1gc 3gcp n",
    ("NumberOfTransitions", 4): "1gcp 2gc 0uc 1gc 0uc 3gcp n",
    ("NumberOfTransitions", 5): "1gcp 2gc 1uc 1gc 2uc 2gcp n",
    ("Start", 1): "@10:10gp @20:20g @40:b @50:50g @70:70v 80gp n",
    ("Start", 2): "@2:10gp @25:20g @39:30g 40g @72:60g @83:70gp n",
    ("Start", 3): "@2:10gp @25:20g @39:30g 40g @72:60g @83:70gp n",
    ("Start", 5): "@2:10gp @25:20g @39:30g 30g @72:30g @83:70gp n",
    ("End", 1): "@10:10gp @30:30g @40:b @60:60g @70:70v @90:90gp n",
    ("End", 2): "@2:10gp @28:25g @42:b @52:50g @77:70v @90:90gp n",
    ("End", 3): "@2:10gp @28:25g @42:b @52:50g @77:70v @90:90gp n",
    ("End", 5): "@2:10gp @28:10g @42:b @52:50g @77:70v @90:70gp n",
    ("Delta", 1): "0gcp 10gc n 10gc n 10gcp n",
    ("Delta", 2): "0gcp 5gc 0uc 10gc 0uc 20gcp n",
    ("Delta", 3): "0gcp 5gc 0uc 10gc 0uc 20gcp n",
    ("Delta", 5): "0gcp -10gc 0uc 20gc 0uc 0gcp n",
    ("StartBound", 1): "np 16gi 30ui n 64ui 80gp n",
    ("StartBound", 2): "np 16.087gi 26.818gi 40g 56gi np n",
    ("StartBound", 3): "np 10gi 25gi 40g 50gi np n",
    ("StartBound", 5): "np 16.087gi 17.2727gi 30g 38gi 70uip n",
    ("EndBound", 1): "16gcp 30uc n 64uc 80gc np n",
    ("EndBound", 2): "16.087gcp 26.818gc 40gc 56gc n np n",
    ("EndBound", 3): "10gcp 25gc 40gc 50gc n np n",
    ("EndBound", 5): "16.087gcp 17.2727gc 30gc 38gc 70uc np n",
    ("DeltaBounds", 1): "np 14uc n n 16uc np n",
    ("DeltaBounds", 2): "np 10.731gc 13.182gc 16gc n np n",
    ("DeltaBounds", 3): "np 15gc 15gc 10gc n np n",
    ("DeltaBounds", 5): "np 1.1858gc 12.7273gc 8gc 32uc np n",
    ("DurationGood", 1): "6000gcp 16000gc 0gc 14000gc 0gc 10001gcp n",
    ("DurationGood", 2): "14000gcp 16000gc 10000gc 16000gc 13000gc 7001gcp n",
    ("DurationGood", 3): "14000gcp 16000gc 10000gc 16000gc 13000gc 7001gcp n",
    ("DurationGood", 4): "14000gcp 16000gc 10000gc 16000gc 13000gc 7001gcp n",
    ("DurationGood", 5): "14000gcp 16000gc 10000gc 16000gc 13000gc 7001gcp n",
    ("DurationBad", 1): "10000gcp 0gc 8000gc 2000gc 0gc 0gcp n",
    ("DurationBad", 2): "2000gcp 0gc 6000gc 0gc 3000gc 3000gcp n",
    ("DurationBad", 3): "2000gcp 0gc 6000gc 0gc 3000gc 0gcp n",
    ("DurationBad", 4): "2000gcp 0gc 6000gc 0gc 3000gc 0gcp n",
    ("DurationBad", 5): "2000gcp 0gc 6000gc 0gc 0gc 0gcp n",
    ("PercentGood", 1): "37.5gcp 100gc 0gc 87.5gc 0gc 100gcp n",
    ("PercentGood", 2): "87.5gcp 100gc 62.5gc 100gc 81.25gc 70.003gcp n",
    ("PercentGood", 3): "87.5gcp 100gc 62.5gc 100gc 81.25gc 70.003gcp n",
    ("PercentGood", 4): "87.5gcp 100gc 62.5gc 100gc 81.25gc 70.003gcp n",
    ("PercentGood", 5): "87.5gcp 100gc 62.5gc 100gc 81.25gc 70.003gcp n",
    ("PercentBad", 1): "62.5gcp 0gc 50gc 12.5gc 0gc 0gcp n",
    ("PercentBad", 2): "12.5gcp 0gc 37.5gc 0gc 18.75gc 29.997gcp n",
    ("PercentBad", 3): "12.5gcp 0gc 37.5gc 0gc 18.75gc 0gcp n",
    ("PercentBad", 4): "12.5gcp 0gc 37.5gc 0gc 18.75gc 0gcp n",
    ("PercentBad", 5): "12.5gcp 0gc 37.5gc 0gc 0gc 0gcp n",
    ("StandardDeviationPopulation", 1): "0gcp 5gc 0uc 0uc 5gcp",
    ("StandardDeviationPopulation", 2): "0gcp 4.082gc 5uc 0uc 8.165gcp",
    ("StandardDeviationPopulation", 3): "0gcp 4.082gc 5uc 0uc 8.165gcp",
    ("StandardDeviationPopulation", 5): "0gcp 8.165gc 10uc 0uc 4.714gcp",
    ("VariancePopulation", 1): "0gcp 25gc 0uc 0uc 25gcp",
    ("VariancePopulation", 2): "0gcp 16.667gc 25uc 0uc 66.667gcp",
    ("VariancePopulation", 3): "0gcp 16.667gc 25uc 0uc 66.667gcp",
    ("VariancePopulation", 5): "0gcp 66.667gc 100uc 0uc 22.222gcp",
    ("StandardDeviationSample", 1): "0gcp 7.071gc 0uc 0uc 7.071gcp",
    ("StandardDeviationSample", 2): "0gcp 5gc 7.071uc 0uc 10gcp",
    ("StandardDeviationSample", 3): "0gcp 5gc 7.071uc 0uc 10gcp",
    ("StandardDeviationSample", 5): "0gcp 10gc 14.142uc 0uc 5.7735gcp",
    ("VarianceSample", 1): "0gcp 50gc 0uc 0uc 50gcp",
    ("VarianceSample", 2): "0gcp 25gc 50uc 0uc 100gcp",
    ("VarianceSample", 3): "0gcp 25gc 50uc 0uc 100gcp",
    ("VarianceSample", 5): "0gcp 100gc 200uc 0uc 33.333gcp",
}

# The value is itself a status: written as its letter, and s for Uncertain_DataSubNormal.
WORST: dict[tuple[str, int], str] = {
    ("WorstQuality", 1): "g:gcp g:gc b:gc g:gc v:gc g:gcp n",
    ("WorstQuality", 2): "g:gcp g:gc b:gc g:gc v:gc g:gcp n",
    ("WorstQuality", 3): "g:gcp g:gc b:gc g:gc v:gc g:gcp n",
    ("WorstQuality", 4): "g:gcp g:gc b:gc g:gc v:gc g:gcp n",
    ("WorstQuality", 5): "g:gcp g:gc b:gc g:gc v:gc g:gcp n",
    ("WorstQuality2", 1): "n:gcp s:gc b:gcm n:gc s:gcm n:gcp n",
    ("WorstQuality2", 2): "n:gcp g:gc b:gc g:gc n:gc n:gcmp n",
    ("WorstQuality2", 3): "n:gcp g:gc b:gc g:gc v:gcm n:gcp n",
    ("WorstQuality2", 4): "n:gcp g:gc b:gc g:gc v:gcm n:gcp n",
    ("WorstQuality2", 5): "n:gcp g:gc b:gc g:gc v:gcm n:gcp n",
}

_PERCENT_BAD = "60 % of the interval are Bad and PercentDataBad is 50: it is Bad (5.4.3.2.1)"
_SLOPED = (
    "Total is TimeAverage times seconds, and always of sloped lines (5.4.3.8), as TimeAverage's example is"
)
_UNCERTAIN = "an Uncertain 70 lies beyond the only Good value: Uncertain (5.4.3.11, .13, .14)"
_TREATED = "the sample before, at 12:01:17, is Uncertain, which is Bad here: 3 s (5.4.3.32, and the example of v1.04)"
_IGNORED = "TreatUncertainAsBad is ignored (5.4.3.36), as the examples of Historians 3 and 4 do"

CONTRADICTED: dict[tuple[str, int], dict[int, tuple[str, str]]] = {
    ("TimeAverage2", 3): dict.fromkeys((8, 9, 15, 16), ("bc", _PERCENT_BAD)),
    ("Total2", 3): dict.fromkeys((8, 9, 15, 16), ("bc", _PERCENT_BAD)),
    ("Total", 3): {
        row: (text, _SLOPED)
        for row, text in enumerate(
            ANSWERS["Total", 2].split()[:18]
        )  # sloped as Historian 2, of the same samples
    },
    ("Maximum", 5): {4: ("30uc", _UNCERTAIN)},
    ("MaximumActualTime", 5): {4: ("@72:30u", _UNCERTAIN)},
    ("Range", 5): {4: ("0uc", _UNCERTAIN)},
    ("DurationBad", 3): {5: ("3000gcp", _TREATED)},
    ("DurationBad", 4): {5: ("3000gcp", _TREATED)},
    ("PercentBad", 3): {5: ("29.997gcp", _TREATED)},
    ("PercentBad", 4): {5: ("29.997gcp", _TREATED)},
    ("WorstQuality2", 2): {4: ("v:gcm", _IGNORED), 5: ("n:gcp", _IGNORED)},
}

IN_ORDER = """
Interpolative Average TimeAverage TimeAverage2 Total Total2 Minimum Maximum MinimumActualTime MaximumActualTime Range
Minimum2 Maximum2 MinimumActualTime2 MaximumActualTime2 Range2 AnnotationCount Count DurationInStateZero
DurationInStateNonZero NumberOfTransitions Start End Delta StartBound EndBound DeltaBounds DurationGood DurationBad
PercentGood PercentBad WorstQuality WorstQuality2 StandardDeviationSample VarianceSample StandardDeviationPopulation
VariancePopulation"""
CLAUSES = {name: f"5.4.3.{number}" for number, name in enumerate(IN_ORDER.split(), 4)}

SECOND = 10**9
NOON = 1_795_262_400 * SECOND
CODE = {"g": 0, "u": 0x40A4_0000, "s": 0x40A4_0000, "v": 0x4000_0000, "b": 0x8000_0000, "n": 0x809B_0000}
BIT = {"c": 0x401, "i": 0x402, "p": 0x404, "m": 0x410}
ROW = re.compile(r"(?:@([\d.]+):)?(?:([gunbvs]):)?(-?[\d.]+)?([gunbv])([cipm]*)")
Row = tuple[float, float | None, int]  # seconds after noon, value, status


def historian(number: int) -> Known:
    rows = [re.fullmatch(r"(\d+):([\d.]*)([gvbn])", word) for word in SAMPLES[number].split()]
    times, values, statuses = zip(
        *((NOON + int(row[1]) * SECOND, float(row[2] or 0), CODE[row[3]]) for row in rows if row), strict=True
    )
    numbers = np.array(values)
    return Known(
        np.array(times),
        numbers,
        np.array(statuses, np.uint32),
        np.ones(len(times), bool),
        numbers.astype(bool) if number == 4 else numbers,
    )


def answer(name: str, number: int) -> list[Row]:
    stepped, *settings = SETTINGS[number]
    length = INTERVAL_S.get(name, 16) * SECOND
    found = calculate(
        BY_TITLE[name.lower()],
        historian(number),
        ValueType.BOOL if number == 4 else ValueType.DOUBLE,
        intervals(NOON, NOON + END_S * SECOND, length),
        stepped=stepped,
        configuration=AggregateConfiguration(*settings),
        resolution_ns=10**6,
    )
    return [
        ((time - NOON) / SECOND, float(value) if has_value else None, int(status))
        for time, value, has_value, status in zip(
            found.times.tolist(), found.values, found.has_value, found.statuses, strict=True
        )
    ]


def published(name: str, text: str) -> list[Row]:
    rows = []
    for place, word in enumerate(text.split()):
        row = ROW.fullmatch(word)
        assert row is not None, word
        value = float(row[3]) if row[3] else CODE[row[2]] if row[2] else None
        code = CODE[row[4]]
        for bit in row[5]:
            code |= BIT[bit]
        rows.append((float(row[1]) if row[1] else place * INTERVAL_S.get(name, 16), value, code))
    return rows


def rounded(rows: list[Row]) -> list[Any]:
    """Values as far as the annex prints them: three or four decimals, cut or rounded."""
    return [
        (time, None if value is None else pytest.approx(value, abs=6e-4), code) for time, value, code in rows
    ]


EXAMPLES = {**ANSWERS, **WORST}


@pytest.mark.parametrize(
    ("name", "number"),
    EXAMPLES,
    ids=[f"{CLAUSES[name]} {name} of Historian{number}" for name, number in EXAMPLES],
)
def test_the_example_of_the_standard(name: str, number: int) -> None:
    words = EXAMPLES[name, number].split()
    for row, (ours, _) in CONTRADICTED.get((name, number), {}).items():
        assert words[row] != ours, "the examples do not contradict the text here"
        words[row] = ours
    assert answer(name, number) == rounded(published(name, " ".join(words)))


def test_every_aggregate_and_option_is_explained() -> None:
    page = (Path(__file__).parents[2] / "docs" / "aggregates.md").read_text()
    assert all(re.search(rf"(?m)^\|[^|]*\b{aggregate.title}\b", page) for aggregate in Aggregate)
    assert all(f"`{field}`" in page for field in AggregateConfiguration.__dataclass_fields__)
    assert f"Up to {MAX_INTERVALS:,} intervals" in page
    assert f"At most {MAX_SAMPLES:,} samples" in page
    assert f"among {LOOK_AROUND[-1]:,} before" in page
    assert f"v1.05, {len(EXAMPLES)} tables" in page
    assert f"in {sum(map(len, CONTRADICTED.values()))} rows" in page


def test_every_aggregate_has_an_example() -> None:
    assert {BY_TITLE[name.lower()] for name, _ in EXAMPLES} == set(Aggregate) - {Aggregate.ANNOTATION_COUNT}
