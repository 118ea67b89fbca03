/** Blobs on their way, each with how far it is, how fast it comes, and a way to see why. */
import type { TransferFacts } from '../../answers/live.ts'
import { formatBytes, formatLeft, formatRate, shortDigest } from '../format.ts'
import { hrefOf } from '../route.ts'
import { Member } from './member.tsx'
import { Progress } from './progress.tsx'

export function Transfers({ transfers, self }: { transfers: TransferFacts[]; self: string }) {
  return (
    <ul class="transfers">
      {transfers.map((transfer) => (
        <Transfer
          key={`${transfer.to} ${transfer.digest}`}
          transfer={transfer}
          isOwn={transfer.to === self}
        />
      ))}
    </ul>
  )
}

function Transfer({ transfer, isOwn }: { transfer: TransferFacts; isOwn: boolean }) {
  const { to, digest, repository, bytes, heldBytes, bytesPerSecond, peers } = transfer
  const name = `${repository ?? 'blob'} ${shortDigest(digest)}`
  const left = bytes === undefined || bytesPerSecond === 0 ? undefined : (bytes - heldBytes) / bytesPerSecond
  return (
    <li class="transfer">
      <span class="transfer-name">
        {isOwn ? <a href={hrefOf({ view: 'blob', digest })}>{name}</a> : name}
        <span class="quiet">
          {' to '}
          <Member peer={to} />
        </span>
      </span>
      <Progress part={heldBytes} whole={bytes ?? 0} label={`${name}, how much of it is here`} />
      <span class="quiet number">
        {bytes === undefined
          ? 'asking who has it'
          : `${formatBytes(bytes)} · ${formatRate(bytesPerSecond)} from ${peers}${left === undefined ? '' : ` · ${formatLeft(left)} left`}`}
      </span>
    </li>
  )
}
