/** Every metric of a node, declared once: its type, what it tells, and the values that its labels can have. */

/** What a label can say. `configured` stands for names from this node's configuration, which are few. */
export type LabelValues = readonly string[] | 'configured'

export interface MetricDeclaration {
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  /** In the order in which they are written. */
  readonly labels: Readonly<Record<string, LabelValues>>
  /** Upper bounds of a histogram. */
  readonly buckets?: readonly number[]
}

type Labels = MetricDeclaration['labels']

const counter = (help: string, labels: Labels = {}): MetricDeclaration => ({ type: 'counter', help, labels })
const gauge = (help: string, labels: Labels = {}): MetricDeclaration => ({ type: 'gauge', help, labels })
const histogram = (help: string, buckets: readonly number[], labels: Labels = {}): MetricDeclaration => ({
  type: 'histogram',
  help,
  labels,
  buckets,
})

/** Seconds, from a cached manifest to a blob over a slow line. */
const requestBuckets = [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300]
const firstByteBuckets = [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

const kind = ['manifest', 'blob']
const source = ['local', 'peer', 'upstream']
const connection = ['stream', 'direct']
const route = [
  'base',
  'catalog',
  'tags',
  'manifest',
  'blob',
  'uploads',
  'upload',
  'referrers',
  'v1-ping',
  'v1-search',
  'none',
]
const method = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']
/** 499 is a client that hung up before it was answered. */
const code = [200, 201, 202, 204, 206, 304, 400, 403, 404, 405, 413, 416, 429, 499, 500, 503, 507].map(String)
const evictions = ['part', 'mirrored', 'surplus', 'unreferenced', 'asked']
const protocol = ['ask', 'reconcile', 'inquiry', 'exchange', 'status', 'have', 'fetch'].map(
  (name) => `/shoal/${name}/1.0.0`,
)

/** A label value that is not declared is counted as `other`, so that nobody else decides how many series there are. */
export const metricTable = {
  shoal_build_info: gauge('Always 1; which version runs.', { version: 'configured' }),
  shoal_ready: gauge('1 while content can be served as it should be, else 0; /readyz says why.'),

  shoal_tls_certificate_end_timestamp_seconds: gauge(
    'When the certificate that clients are shown ends, in seconds since the epoch; absent without TLS.',
  ),

  shoal_pulls_total: counter(
    'Manifests and blobs that clients read, by the farthest place that any of their bytes came from.',
    { kind, source },
  ),
  shoal_pulls_broken_total: counter(
    'Pulls of which the client did not get all; of a range without an end it may leave any part.',
    { kind, source },
  ),
  shoal_pull_bytes_total: counter('Bytes that clients read, by where they came from.', { kind, source }),
  shoal_pull_first_byte_seconds: histogram(
    'Time from the request of a blob to the first byte of its answer.',
    firstByteBuckets,
    { source },
  ),
  shoal_uplink_saved_bytes_total: counter(
    'Bytes of mirrored names that clients read and that came from this node or a member instead of an upstream.',
  ),
  shoal_pushes_total: counter('Manifests and blobs that clients pushed.', { kind }),
  shoal_push_bytes_total: counter('Bytes that clients pushed; those of mounted blobs are none.', { kind }),
  shoal_deletes_total: counter('What clients deleted.', { kind: ['manifest', 'tag', 'blob'] }),

  shoal_http_requests_in_flight: gauge('Requests that are not answered yet.'),
  shoal_http_requests_total: counter('Requests to the registry API.', { route, method, code }),
  shoal_http_request_duration_seconds: histogram(
    'Time from a request to the end of its answer.',
    requestBuckets,
    { route },
  ),

  shoal_swarm_members: gauge('Connected members.'),
  shoal_cluster_info: gauge('Always 1; which cluster the node belongs to, as shoal status shows it.', {
    cluster: 'configured',
  }),
  shoal_member_banned: gauge('1 while the policy bans this node, so that the others refuse it, else 0.'),
  shoal_member_waiting: gauge('1 while no member lets this node in, else 0; shoal doctor says why.'),
  shoal_swarm_connected_without_newest_secret: gauge(
    'Connected nodes that are not known to have the newest secret of the cluster; they are let go when the grace of the one before ends.',
  ),
  shoal_swarm_connections: gauge('Open connections to members; there may be two to one.'),
  shoal_swarm_handshakes_total: counter('Handshakes that others began; those of strangers fail.', {
    result: ['done', 'failed'],
  }),
  shoal_swarm_connections_refused_total: counter('Connections that were refused.', {
    reason: ['handshakes', 'unwelcome'],
  }),
  shoal_swarm_admissions_total: counter('Talks with nodes that were no members, by what they were told.', {
    verdict: ['member', 'guest', 'refused'],
  }),
  shoal_swarm_misdeeds_total: counter('What members did wrong.', {
    misdeed: ['invalid-message', 'invalid-record', 'wrong-bytes', 'protocol'],
  }),
  shoal_swarm_expulsions_total: counter('Members that were disconnected for what they did.'),
  shoal_swarm_channels_failed_total: counter('Channels from members whose handler failed.', { protocol }),

  shoal_dht_lookups_total: counter('Look-ups of who holds a digest, by whether anybody does.', {
    found: ['true', 'false'],
  }),
  shoal_dht_searches_total: counter(
    'Searches of the DHT: where all members are connected, only for what none of them has.',
  ),
  shoal_dht_searches_failed_total: counter('Searches of the DHT that failed or ran out of time.'),
  shoal_dht_announcements_total: counter('Announcements to the DHT, by whether any member took note.', {
    told: ['some', 'nobody'],
  }),
  shoal_dht_announced: gauge('Digests that this node announces.'),

  shoal_exchange_transfers: gauge('Blobs on their way here.'),
  shoal_exchange_transfers_total: counter('Transfers of blobs that are over.', {
    result: ['done', 'failed', 'stopped'],
  }),
  shoal_exchange_pieces_total: counter('Pieces that came and were verified.', {
    source: ['peer', 'upstream'],
  }),
  shoal_exchange_memory_bytes: gauge('Memory lent to pieces on their way.'),
  shoal_exchange_received_bytes_total: counter('Bytes of pieces and their lists received from members.', {
    connection,
  }),
  shoal_exchange_sent_bytes_total: counter('Bytes of pieces sent to members.', { connection }),
  shoal_exchange_faults_total: counter('What went wrong with members while blobs moved.', {
    fault: [
      'wrong-bytes',
      'wrong-list',
      'lying-list',
      'protocol',
      'stalled',
      'broken',
      'false-complaint',
      'direct',
    ],
  }),

  shoal_records: gauge('Records that this node holds, deletions included.'),
  shoal_records_waiting: gauge('Records of others that wait until this node may take more.'),
  shoal_records_stored_total: counter('Records that became current, by who signed or sent them.', {
    kind: ['tag', 'manifest', 'account', 'policy', 'invitation', 'member', 'admission'],
    from: ['here', 'member'],
  }),
  shoal_records_refused_total: counter('Records from members that were not accepted.', {
    reason: ['malformed', 'signature', 'forged', 'ahead', 'policy', 'expired', 'delayed'],
  }),
  shoal_records_rotten_total: counter('Records and rows of the ledger that the disk changed.', {
    kind: ['record', 'row'],
  }),
  shoal_records_unreadable: gauge('Records that this version cannot read: they count as missing.'),
  shoal_keep_rules: gauge('Keep rules of this node.'),
  shoal_keep_missing_images: gauge('Images that a keep rule matches and that are not complete here.'),
  shoal_keep_missing_seconds: gauge('How long the oldest of them has been missing.'),
  shoal_keep_brought_bytes_total: counter('Bytes that were fetched because a keep rule asks for them.'),

  shoal_copies_members: gauge('Members that images are placed on, this node among them.'),
  shoal_copies_short_images: gauge(
    'Images that this node owns, or that were pushed here, and that fewer members hold than there are to be.',
  ),
  shoal_copies_short_seconds: gauge('How long ago the oldest of them was pushed.'),
  shoal_copies_brought_bytes_total: counter('Bytes that were fetched because this node owns an image.'),
  shoal_copies_acks_total: counter('Pushes that waited for copies, by whether there were enough in time.', {
    result: ['enough', 'short'],
  }),

  shoal_gossip_messages_total: counter('Gossip messages, by what became of them.', {
    verdict: ['accept', 'ignore', 'reject'],
  }),

  shoal_reconciliations_total: counter('Rounds of reconciliation with members.', {
    role: ['begun', 'answered'],
    result: ['done', 'broken'],
  }),
  shoal_reconciliation_bytes_total: counter('Bytes that reconciliation took, in rounds that were done.', {
    direction: ['sent', 'received'],
  }),
  shoal_access_age_seconds: gauge(
    'How long ago this node and a member last told each other all they know; 0 where it never met one.',
  ),
  shoal_access_outdated: gauge(
    "1 while that is longer than the policy's accessMaxAge, so that nobody is let in by its access rules, else 0.",
  ),
  shoal_clock_wrong: gauge(
    "1 while this node's clock is so far from the members' that it publishes nothing, else 0.",
  ),

  shoal_upstream_requests_total: counter('Questions to upstreams, by what came of them.', {
    upstream: 'configured',
    kind: ['manifest', 'blob', 'referrers'],
    outcome: ['answered', 'absent', 'unreachable', 'paused', 'refused', 'wrong', 'cancelled'],
  }),
  shoal_upstream_received_bytes_total: counter('Bytes of manifests and blobs received from upstreams.', {
    upstream: 'configured',
  }),
  shoal_upstream_reachable: gauge('Whether an upstream answered when it was last asked.', {
    upstream: 'configured',
  }),
  shoal_mirror_stale_total: counter(
    'Mirrored tags and lists of referrers that were served older than they should be, as their upstream did not answer.',
    { upstream: 'configured' },
  ),

  shoal_webhook_events_total: counter('Events for webhooks, by what became of them.', {
    result: ['delivered', 'full', 'expired', 'stopped'],
  }),
  shoal_webhook_requests_total: counter('Requests to webhooks.', { result: ['done', 'failed'] }),
  shoal_webhook_queued: gauge('Events that wait for their webhooks; absent where there are none.'),

  shoal_trace_spans_total: counter('Spans for the OpenTelemetry collector, by what became of them.', {
    result: ['delivered', 'full', 'expired', 'stopped'],
  }),
  shoal_trace_requests_total: counter('Requests to the OpenTelemetry collector.', {
    result: ['done', 'failed'],
  }),

  shoal_store_blobs: gauge('Blobs in the store, about; absent until they are counted.'),
  shoal_store_blob_bytes: gauge('Bytes of the blobs in the store, about; absent until they are counted.'),
  shoal_store_quarantined_total: counter('What did not hash to its name and was moved away.', { kind }),
  shoal_scrub_read_bytes_total: counter('Bytes that the scrub has read and hashed again.'),
  shoal_scrub_done_ratio: gauge('How much of its round the scrub has done, from 0 to 1.'),
  shoal_scrub_completed_timestamp_seconds: gauge(
    'When everything had been read again the last time; absent until it was.',
  ),
  shoal_gc_runs_total: counter('Collections of garbage.'),
  shoal_gc_removed_total: counter('What the collector removed.', { kind }),
  shoal_gc_freed_bytes_total: counter('Bytes that the collector removed.'),
  shoal_database_faults_total: counter(
    'Writes to the database that failed, and reads that met damage; after each it takes nothing until it was opened again.',
  ),
  shoal_database_damaged_tables_total: counter(
    'Files of the database that the disk changed, and out of which that was cut.',
  ),
  shoal_disk_size_bytes: gauge('Size of the disk with the data directory.'),
  shoal_disk_free_bytes: gauge('Bytes free on the disk with the data directory.'),
  shoal_disk_reserve_bytes: gauge('Bytes that uploads leave free: --min-free.'),
  shoal_room_limit_bytes: gauge('Bytes that the data directory may take: --max-disk; absent without it.'),
  shoal_room_filled_bytes: gauge('Bytes that it takes, where there is a limit.'),
  shoal_room_high_mark_bytes: gauge('Above it what may go does, until nine tenths of the limit are filled.'),
  shoal_evicted_total: counter('Blobs, and parts of them, that went to make room, or by shoal evict.', {
    reason: evictions,
  }),
  shoal_evicted_bytes_total: counter('Bytes of these.', { reason: evictions }),
  shoal_http_body_memory_bytes: gauge('Memory that request bodies hold beyond 64 KiB of each.'),
  shoal_store_upload_sessions: gauge('Open upload sessions.'),
  shoal_store_read_buffer_bytes: gauge('Memory that readers of blobs hold.'),
} satisfies Record<string, MetricDeclaration>

export type MetricName = keyof typeof metricTable
