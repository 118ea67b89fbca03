/** The cluster: who is a member, who is lost, and everything that moves between them. */
import type { MemberFacts, StateEvent } from '../../answers/live.ts'
import { formatBytes, formatCount, formatLatency, formatRate } from '../format.ts'
import { state } from '../live.ts'
import { Age } from '../parts/age.tsx'
import { ClusterPicture } from '../parts/cluster-picture.tsx'
import { Member, nameOf } from '../parts/member.tsx'
import { Waiting } from '../parts/states.tsx'
import { Transfers } from '../parts/transfers.tsx'
import { sentence } from '../sentence.ts'
import { clusterInWords, diskInWords, movementInWords } from '../words.ts'

const size = window.matchMedia('(max-width: 640px)').matches
  ? { width: 460, height: 320, marginX: 120, marginY: 52 }
  : { width: 720, height: 400, marginX: 170, marginY: 56 }

export function ClusterView() {
  const cluster = state.value
  if (cluster === undefined) return <Waiting what="the members" />
  const { transfers, self, lost } = cluster
  return (
    <>
      <h1>Cluster</h1>
      <p class="lead">
        {clusterInWords(cluster, nameOf.value)} {movementInWords(cluster)}
      </p>
      <ClusterPicture cluster={cluster} size={size} />
      {lost.length > 0 && <Lost members={lost} />}
      <section aria-labelledby="members">
        <h2 id="members">Members</h2>
        <Members cluster={cluster} />
      </section>
      <section aria-labelledby="flows">
        <h2 id="flows">Between members</h2>
        <Flows cluster={cluster} />
      </section>
      <section aria-labelledby="transfers">
        <h2 id="transfers">Blobs on the way</h2>
        {transfers.length === 0 ? (
          <p class="quiet">None.</p>
        ) : (
          <Transfers transfers={transfers} self={self} />
        )}
      </section>
    </>
  )
}

function Lost({ members }: { members: MemberFacts[] }) {
  return (
    <section class="notice warn" aria-labelledby="lost">
      <h2 id="lost">Out of reach</h2>
      <ul class="lines">
        {members.map(({ peer, sinceMs, addresses }) => (
          <li key={peer}>
            <Member peer={peer} />{' '}
            <span>
              {sinceMs !== undefined && (
                <>
                  since <Age atMs={sinceMs} />
                </>
              )}
              {addresses[0] !== undefined && `, last at ${addresses[0]}`}
            </span>
          </li>
        ))}
      </ul>
      <p>
        This node dials them again by itself, for 30 days. Have those that were taken down for good forgotten:
        shoal member forget NAME.
      </p>
    </section>
  )
}

function Members({ cluster }: { cluster: StateEvent }) {
  return (
    <table class="table members">
      <thead>
        <tr>
          <th scope="col">Member</th>
          <th scope="col">State</th>
          <th scope="col">Disk</th>
          <th scope="col">Round trip</th>
          <th scope="col">Connected</th>
          <th scope="col">Sent here</th>
          <th scope="col">Got from here</th>
          <th scope="col">Faults</th>
        </tr>
      </thead>
      <tbody>
        {cluster.members.map((member) => (
          <tr key={member.peer}>
            <td class="name">
              <Member peer={member.peer} />
              <span class="quiet address">
                {[member.version, member.addresses[0]].filter((text) => text !== undefined).join(' · ')}
              </span>
            </td>
            <td>
              <State member={member} />
            </td>
            <td data-what="Disk" class="number">
              {member.condition?.disk === undefined ? '–' : diskInWords(member.condition.disk)}
            </td>
            <td data-what="Round trip" class="number">
              {member.latencyMs === undefined ? '–' : formatLatency(member.latencyMs)}
            </td>
            <td data-what="Connected">
              {member.sinceMs === undefined ? '–' : <Age atMs={member.sinceMs} />}
            </td>
            <td data-what="Sent here" class="number">
              {member.isSelf ? '–' : formatBytes(member.receivedBytes)}
            </td>
            <td data-what="Got from here" class="number">
              {member.isSelf ? '–' : formatBytes(member.sentBytes)}
            </td>
            <td data-what="Faults">{faultsOf(member)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

/** By its own word. */
function State({ member: { condition } }: { member: MemberFacts }) {
  if (condition === undefined) return <span class="quiet">not told</span>
  const { problems } = condition
  if (problems.length === 0) return <span class="stands">ready</span>
  return (
    <ul class="stands away">
      {problems.map((problem) => (
        <li key={problem}>{sentence(problem, [])}</li>
      ))}
    </ul>
  )
}

function Flows({ cluster }: { cluster: StateEvent }) {
  const flows = cluster.flows.toSorted((a, b) => b.bytesPerSecond - a.bytesPerSecond)
  if (flows.length === 0) return <p class="quiet">Nothing moves right now.</p>
  return (
    <ul class="lines flows-list">
      {flows.map(({ from, to, bytesPerSecond }) => (
        <li key={`${from}>${to}`}>
          <span>
            <Member peer={from} /> to <Member peer={to} />
          </span>
          <span class="number">{formatRate(bytesPerSecond)}</span>
        </li>
      ))}
    </ul>
  )
}

function faultsOf({ faults }: MemberFacts): string {
  const texts = Object.entries(faults).map(([fault, count]) => formatCount(count, fault, fault))
  return texts.length === 0 ? 'none' : texts.join(', ')
}
