/** What this node stores, what of it can go, and when it goes by itself. */
import { useState } from 'preact/hooks'
import type { FreeableAnswer, StorageAnswer } from '../../answers/storage.ts'
import { change } from '../api.ts'
import { formatBytes, formatCount, formatNumber, formatRate, formatSpan, shortDigest } from '../format.ts'
import { state } from '../live.ts'
import { Age } from '../parts/age.tsx'
import { Confirm } from '../parts/confirm.tsx'
import { Answered } from '../parts/states.tsx'
import { hrefOf } from '../route.ts'
import { useAnswer } from '../use-answer.ts'
import { freeableInWords, roomInWords, shortInWords } from '../words.ts'

export function StorageView() {
  const answer = useAnswer<StorageAnswer>('/api/storage', { follow: false })
  return (
    <>
      <h1>Storage</h1>
      <Answered of={answer} waiting="the disk">
        {(storage) => <Storage storage={storage} again={answer.again} />}
      </Answered>
    </>
  )
}

function Storage({ storage, again }: { storage: StorageAnswer; again(): void }) {
  const {
    blobs,
    blobBytes,
    partials,
    partialBytes,
    quarantined,
    now,
    later,
    graceMs,
    keepUntaggedMs,
    collectEveryMs,
  } = storage
  const waiting = Math.max(0, later.bytes - now.bytes)
  return (
    <>
      <p class="lead">{freeableInWords(storage)}</p>
      <p>{roomInWords(storage)}</p>
      <Disk storage={storage} />
      <section aria-labelledby="can-go">
        <h2 id="can-go">What can go</h2>
        <dl class="facts wide">
          <Amount name="Now" {...now} />
          <div>
            <dt>Later</dt>
            <dd>
              {waiting === 0
                ? 'nothing more'
                : `${formatBytes(waiting)} more that nothing refers to, ${formatSpan(graceMs)} after the last use`}
            </dd>
          </div>
          <div>
            <dt>By itself</dt>
            <dd>
              {collectEveryMs === 0
                ? 'never (--gc-interval 0s)'
                : `every ${formatSpan(collectEveryMs).replace(/^1 /, '')}`}
            </dd>
          </div>
        </dl>
        <p class="quiet">
          Content goes once nothing refers to it: when its tag was deleted or moved, its manifest stays for{' '}
          {keepUntaggedMs === undefined ? 'ever (--keep-untagged forever)' : formatSpan(keepUntaggedMs)}, and
          what it alone refers to for {formatSpan(graceMs)} after its last use.
        </p>
        <Collect now={now} again={again} />
      </section>
      <Plan plan={storage.plan} />
      <Short short={storage.short} />
      <Limits storage={storage} />
      <section aria-labelledby="stored">
        <h2 id="stored">What is stored</h2>
        <dl class="facts wide">
          <div>
            <dt>Blobs</dt>
            <dd>
              {formatNumber(blobs)}, {formatBytes(blobBytes)}
            </dd>
          </div>
          <div>
            <dt>On their way here</dt>
            <dd>
              {partials === 0 ? 'none' : `${formatNumber(partials)}, ${formatBytes(partialBytes)} when whole`}
            </dd>
          </div>
          <div>
            <dt>In quarantine</dt>
            <dd>
              {quarantined === 0
                ? 'none'
                : `${formatCount(quarantined, 'file')} that did not hash to its name; see quarantine/ in the data directory`}
            </dd>
          </div>
        </dl>
      </section>
    </>
  )
}

function Plan({ plan: { limit, groups } }: Pick<StorageAnswer, 'plan'>) {
  return (
    <section aria-labelledby="plan">
      <h2 id="plan">What would go to make room</h2>
      <p class="quiet">
        {limit === undefined
          ? 'Where room is needed,'
          : `${formatBytes(limit.filledBytes)} of ${formatBytes(limit.maxBytes)} are filled; above ${formatBytes(limit.highBytes)},`}{' '}
        {groups.length === 0 ? 'nothing may go.' : 'in this order, as shoal gc --plan says.'}
      </p>
      {groups.length > 0 && (
        <table class="table plan">
          <thead>
            <tr>
              <th scope="col">Repository</th>
              <th scope="col">Why</th>
              <th scope="col">Blobs</th>
              <th scope="col">Size</th>
              <th scope="col">Unused for</th>
            </tr>
          </thead>
          <tbody>
            {groups.map(({ why, repository, blobs, bytes, unusedMs }) => (
              <tr key={`${why} ${repository}`}>
                <td class="name">
                  {repository === undefined ? (
                    '–'
                  ) : (
                    <a href={hrefOf({ view: 'repository', repository })}>{repository}</a>
                  )}
                </td>
                <td>{why}</td>
                <td data-what="Blobs">{formatNumber(blobs)}</td>
                <td data-what="Size">{formatBytes(bytes)}</td>
                <td data-what="Unused for">{formatSpan(unusedMs)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  )
}

/** Flags of `shoal serve`, which nothing changes while the node runs. */
function Limits({ storage: { plan, minFreeBytes } }: { storage: StorageAnswer }) {
  const { upload = 0, download = 0 } = state.value?.limits ?? {}
  const rate = (bytesPerSecond: number) => (bytesPerSecond === 0 ? 'no limit' : formatRate(bytesPerSecond))
  return (
    <section aria-labelledby="limits">
      <h2 id="limits">Limits of this node</h2>
      <dl class="facts wide">
        <div>
          <dt>Sends at most</dt>
          <dd>
            {rate(upload)} <code>--max-upload</code>
          </dd>
        </div>
        <div>
          <dt>Takes at most</dt>
          <dd>
            {rate(download)} <code>--max-download</code>
          </dd>
        </div>
        <div>
          <dt>Fills at most</dt>
          <dd>
            {plan.limit === undefined ? 'the whole disk' : formatBytes(plan.limit.maxBytes)}{' '}
            <code>--max-disk</code>
          </dd>
        </div>
        <div>
          <dt>Leaves free</dt>
          <dd>
            {formatBytes(minFreeBytes)} <code>--min-free</code>
          </dd>
        </div>
      </dl>
      <p class="quiet">
        They are this host’s, and given when its node starts: as a flag of <code>shoal serve</code>, as{' '}
        <code>SHOAL_MAX_UPLOAD</code> and so on in its environment (<code>/etc/default/shoal</code> where the
        package runs it), or as a key of the file that <code>--config</code> names. Change it there, and
        restart the node. What repositories may fill is the policy’s, see <code>shoal policy show</code>.
      </p>
    </section>
  )
}

function Short({ short }: Pick<StorageAnswer, 'short'>) {
  const { images, list } = short
  return (
    <section aria-labelledby="short">
      <h2 id="short">Copies</h2>
      <p class={images === 0 ? 'quiet' : 'notice warn'}>{shortInWords(short)}</p>
      {images > 0 && (
        <ul class="lines">
          {list.map(({ repository, digest, held, wanted, sinceMs }) => (
            <li key={`${repository}@${digest}`}>
              <a href={hrefOf({ view: 'image', repository, reference: digest })}>
                {repository}@{shortDigest(digest)}
              </a>
              <span class="quiet">
                {held} of {wanted}, pushed <Age atMs={sinceMs} />
              </span>
            </li>
          ))}
        </ul>
      )}
      {images > list.length && (
        <p class="quiet">{formatCount(images - list.length, 'more image')} not listed.</p>
      )}
    </section>
  )
}

function Amount({ name, blobs, manifests, bytes }: FreeableAnswer & { name: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {bytes === 0
          ? 'nothing'
          : `${formatBytes(bytes)}: ${formatCount(blobs, 'blob')} and ${formatCount(manifests, 'manifest')}`}
      </dd>
    </div>
  )
}

/** The disk as a bar; the numbers stand in the sentence above it. */
function Disk({ storage }: { storage: StorageAnswer }) {
  const { totalBytes, freeBytes, blobBytes, now } = storage
  const share = (bytes: number) => `${((bytes / Math.max(1, totalBytes)) * 100).toFixed(2)}%`
  const kept = Math.max(0, blobBytes - now.bytes)
  const others = Math.max(0, totalBytes - freeBytes - blobBytes)
  return (
    <figure class="disk">
      <div class="disk-bar" aria-hidden="true">
        <span class="kept" style={{ '--share': share(kept) }} />
        <span class="freeable" style={{ '--share': share(now.bytes) }} />
        <span class="others" style={{ '--share': share(others) }} />
      </div>
      <figcaption>
        <span class="key kept">kept here {formatBytes(kept)}</span>
        <span class="key freeable">can go {formatBytes(now.bytes)}</span>
        <span class="key others">others’ {formatBytes(others)}</span>
        <span class="key free">free {formatBytes(freeBytes)}</span>
      </figcaption>
    </figure>
  )
}

function Collect({ now, again }: { now: FreeableAnswer; again(): void }) {
  const [isAsking, setAsking] = useState(false)
  const [done, setDone] = useState<FreeableAnswer>()
  if (done !== undefined) {
    return (
      <p class="notice good" role="status">
        Freed {formatBytes(done.bytes)}: {formatCount(done.blobs, 'blob')} and{' '}
        {formatCount(done.manifests, 'manifest')}.
      </p>
    )
  }
  if (now.bytes === 0) return null
  return (
    <>
      <button type="button" class="grave" onClick={() => setAsking(true)}>
        Free {formatBytes(now.bytes)} now…
      </button>
      {isAsking && (
        <Confirm
          title={`Free ${formatBytes(now.bytes)} on this node?`}
          action="Free it"
          onConfirm={async () => {
            setDone(await change<FreeableAnswer>('/api/collect', {}))
            again()
          }}
          onClose={() => setAsking(false)}
        >
          <p>
            {formatCount(now.blobs, 'blob')} and {formatCount(now.manifests, 'manifest')} that nothing refers
            to are removed from this node’s disk. Other members keep what they hold.
          </p>
        </Confirm>
      )}
    </>
  )
}
