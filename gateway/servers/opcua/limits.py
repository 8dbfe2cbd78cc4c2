"""What a client may take of the server: every bound in one place, each with its reason.

The ones named like a node of OperationLimits are announced there (OPC 10000-5, 6.3.11) and enforced.
"""

from __future__ import annotations

# Before sign-in a stranger speaks. An OpenSecureChannel request holds one certificate (2 KiB with a 4096-bit key, a
# chain of them less than 12 KiB) and two RSA blocks; a CreateSession request holds the certificate once more.
OPEN_MESSAGE_BYTES = 16 << 10
SIGNED_OUT_MESSAGE_BYTES = 64 << 10
SIGNED_OUT_CHUNKS = 8  # of the least chunk size that OPC 10000-6, 7.1.2.3 allows
# After sign-in: 10,000 node ids of 100 bytes in one request take 1 MB.
CHUNK_BYTES = 65_535
MESSAGE_BYTES = 4 << 20
CHUNKS = MESSAGE_BYTES // 8192
LEAST_BUFFER_BYTES = 8192  # OPC 10000-6, 7.1.2.3
ENDPOINT_URL_BYTES = 4096  # OPC 10000-6, 7.1.2.3
SEND_BACKLOG_BYTES = 16 << 20  # answers that a client does not take are not kept for ever

CONNECTIONS = 200
CONNECTIONS_PER_ADDRESS = 50  # one machine must not take all places
SIGN_IN_SECONDS = 30.0  # from connect to sign-in; a discovery ends sooner
PENDING_MESSAGES = 100  # parsed and waiting, per connection
PENDING_SLOW_REQUESTS = 16  # writes and history reads under way, per connection

SESSIONS = 100
SESSION_TIMEOUT_MS = (10_000, 3_600_000)  # least and most
CHANNEL_LIFETIME_MS = (10_000, 3_600_000)  # of its keys; a client renews them in time
NONCE_BYTES = 32  # OPC 10000-4, 5.7.2, and the nonce of every policy offered (OPC 10000-7)

SUBSCRIPTIONS = 200
SUBSCRIPTIONS_PER_SESSION = 20
PUBLISHING_MS = (50.0, 60_000.0)  # 20 times a second is more than a person sees
KEEP_ALIVE_COUNT = 5_000
LIFETIME_COUNT = 15_000
UNACKNOWLEDGED_MESSAGES = 50  # kept for Republish, per subscription
MONITORED_ITEMS = 100_000  # per subscription
QUEUED_VALUES = 1_000  # per monitored item: 100 s at 10 Hz, or a burst of pulses
NOTIFICATIONS_PER_PUBLISH = 10_000  # 350 KB a message

NODES_PER_READ = 10_000
NODES_PER_BROWSE = 1_000
NODES_PER_TRANSLATE = 10_000
NODES_PER_REGISTER = 10_000
NODES_PER_WRITE = 100  # each is a command to a device
NODES_PER_HISTORY_READ = 100
ITEMS_PER_CALL = 10_000
HISTORY_VALUES = 10_000  # a node and answer; more come by continuation point. 220 KB
TIMES_PER_HISTORY_READ = 100_000  # 900 KB in a request
HISTORY_READERS = 2  # threads: a long read must not take the disk from the historian

WRITE_GRACE_S = 4.0  # beyond a command's deadline, for the router to tell the outcome
