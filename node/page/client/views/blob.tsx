/** One blob: how far it is, why it comes no faster, its pieces as they arrive, and the members that send them. */
import type { BlobEvent, StateEvent } from '../../answers/live.ts'
import { formatBytes, formatLeft, formatNumber, formatRate, shortDigest } from '../format.ts'
import { blob, state } from '../live.ts'
import { Copyable } from '../parts/copy.tsx'
import { Member, nameOf } from '../parts/member.tsx'
import { PieceMap } from '../parts/piece-map.tsx'
import { Waiting } from '../parts/states.tsx'
import { hrefOf } from '../route.ts'
import { progressInWords, whySlow } from '../why-slow.ts'

type Transfer = NonNullable<BlobEvent['transfer']>

export function BlobView({ digest }: { digest: string }) {
  const watched = blob.value?.digest === digest ? blob.value : undefined
  const cluster = state.value
  return (
    <>
      <p class="trail">
        <a href={hrefOf({ view: 'cluster' })}>Cluster</a>
        {watched?.repositories.map((repository) => (
          <a key={repository} href={hrefOf({ view: 'repository', repository })}>
            {repository}
          </a>
        ))}
      </p>
      <h1>Blob {shortDigest(digest)}</h1>
      {watched === undefined || cluster === undefined ? (
        <Waiting what="the blob" />
      ) : (
        <>
          <p class="lead">{progressInWords(watched)}</p>
          {watched.transfer !== undefined && watched.bytes !== undefined && (
            <OnTheWay transfer={watched.transfer} bytes={watched.bytes} cluster={cluster} />
          )}
        </>
      )}
      <p class="quiet">
        <Copyable text={digest} label="the digest" />
      </p>
    </>
  )
}

function OnTheWay({ transfer, bytes, cluster }: { transfer: Transfer; bytes: number; cluster: StateEvent }) {
  const { bytesPerSecond, held, pieceBytes } = transfer
  const missing = Math.max(0, bytes - held * pieceBytes)
  return (
    <>
      {bytesPerSecond > 0 && missing > 0 && (
        <p>At this rate it takes another {formatLeft(missing / bytesPerSecond)}.</p>
      )}
      <section aria-labelledby="why">
        <h2 id="why">Why not faster?</h2>
        <ul class="reasons">
          {whySlow(transfer, cluster, nameOf.value).map(({ kind, text }) => (
            <li key={text} class={kind}>
              {text}
            </li>
          ))}
        </ul>
      </section>
      <section aria-labelledby="pieces">
        <h2 id="pieces">Pieces</h2>
        <PieceMap transfer={transfer} />
      </section>
      <section aria-labelledby="swarm">
        <h2 id="swarm">Who sends it</h2>
        <Swarm transfer={transfer} />
      </section>
    </>
  )
}

const states = {
  asked: 'asked, no answer yet',
  absent: 'has none of it',
  ready: 'sends',
  silent: 'silent',
  busy: 'busy with others',
} as const

function Swarm({ transfer }: { transfer: Transfer }) {
  const peers = transfer.peers.toSorted((a, b) => b.bytesPerSecond - a.bytesPerSecond || b.held - a.held)
  return (
    <table class="table swarm">
      <thead>
        <tr>
          <th scope="col">Member</th>
          <th scope="col">Rate</th>
          <th scope="col">Sent of it</th>
          <th scope="col">Holds</th>
          <th scope="col">Asked for</th>
          <th scope="col">State</th>
        </tr>
      </thead>
      <tbody>
        {peers.map(({ peer, bytesPerSecond, receivedBytes, held, waiting, state: how }) => (
          <tr key={peer}>
            <td class="name">
              <Member peer={peer} />
            </td>
            <td data-what="Rate" class="number">
              {formatRate(bytesPerSecond)}
            </td>
            <td data-what="Sent of it" class="number">
              {formatBytes(receivedBytes)}
            </td>
            <td data-what="Holds" class="number">
              {formatNumber(held)} of {formatNumber(transfer.pieces)}
            </td>
            <td data-what="Asked for" class="number">
              {waiting}
            </td>
            <td data-what="State">{states[how]}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}
