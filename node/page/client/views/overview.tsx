/** The first view: the cluster in a sentence and a picture, what moves, what was pushed last, and what can be freed. */
import type { Rows } from '../../answers/answer.ts'
import type { RepositoryRow } from '../../answers/images.ts'
import type { StateEvent } from '../../answers/live.ts'
import type { DoctorAnswer, StorageAnswer } from '../../answers/storage.ts'
import { formatCount, formatNumber } from '../format.ts'
import { state } from '../live.ts'
import { Age } from '../parts/age.tsx'
import { ClusterPicture } from '../parts/cluster-picture.tsx'
import { Hour } from '../parts/hour.tsx'
import { By, Member, nameOf } from '../parts/member.tsx'
import { Answered, Empty, Waiting } from '../parts/states.tsx'
import { Transfers } from '../parts/transfers.tsx'
import { hrefOf } from '../route.ts'
import { sentence } from '../sentence.ts'
import { useAnswer } from '../use-answer.ts'
import { clusterInWords, freeableInWords, movementInWords, roomInWords, shortInWords } from '../words.ts'

const size = { width: 460, height: 320, marginX: 120, marginY: 52 }
const shownTransfers = 5
const shownUnwell = 5

export function Overview() {
  const cluster = state.value
  return (
    <>
      <h1 class="lead">
        {cluster === undefined ? 'Asking the node…' : clusterInWords(cluster, nameOf.value)}
      </h1>
      {cluster?.problems.map((problem) => (
        <p key={problem} class="notice warn">
          {sentence(problem, [])}
        </p>
      ))}
      {cluster !== undefined && cluster.lost.length > 0 && <Lost cluster={cluster} />}
      {cluster !== undefined && <Unwell cluster={cluster} />}
      <div class="columns">
        <section aria-label="The cluster">
          {cluster === undefined ? (
            <Waiting what="the members" />
          ) : (
            <ClusterPicture cluster={cluster} size={size} />
          )}
          {cluster?.members.length === 1 && cluster.lost.length === 0 && (
            <Alone name={nameOf.value(cluster.self)} />
          )}
        </section>
        <section aria-labelledby="moving">
          <h2 id="moving">On the move</h2>
          {cluster !== undefined && <Moving cluster={cluster} />}
        </section>
      </div>
      <section aria-labelledby="hour">
        <h2 id="hour">The last hour on this node</h2>
        <Hour />
      </section>
      <section aria-labelledby="doctor">
        <h2 id="doctor">What the doctor says of this node</h2>
        <Doctor />
      </section>
      <div class="columns">
        <section aria-labelledby="pushed">
          <h2 id="pushed">Pushed last</h2>
          <Pushed />
        </section>
        <section aria-labelledby="room">
          <h2 id="room">Room on this node</h2>
          <Room />
        </section>
      </div>
    </>
  )
}

function Lost({ cluster }: { cluster: StateEvent }) {
  return (
    <div class="notice warn">
      <p>
        Pushes and pulls of what is here go on. What only the lost{' '}
        {cluster.lost.length === 1 ? 'member holds' : 'members hold'} cannot be pulled until{' '}
        {cluster.lost.length === 1 ? 'it is' : 'they are'} back; tags that change on both sides follow the
        later push. <a href={hrefOf({ view: 'cluster' })}>Who is lost, and since when</a>
      </p>
    </div>
  )
}

/** Other members that say that something keeps them from serving. */
function Unwell({ cluster: { members } }: { cluster: StateEvent }) {
  const unwell = members.filter(({ isSelf, condition }) => !isSelf && (condition?.problems.length ?? 0) > 0)
  if (unwell.length === 0) return null
  return (
    <ul class="notice warn unwell">
      {unwell.slice(0, shownUnwell).map(({ peer, condition }) => (
        <li key={peer}>
          <strong>
            <Member peer={peer} />
          </strong>{' '}
          says: {sentence(condition?.problems[0] ?? '', [])}
        </li>
      ))}
      {unwell.length > shownUnwell && (
        <li>
          <a href={hrefOf({ view: 'cluster' })}>{formatCount(unwell.length - shownUnwell, 'more member')}</a>
        </li>
      )}
    </ul>
  )
}

function Alone({ name }: { name: string }) {
  return (
    <p class="quiet">
      Another host joins with <code>shoal serve --join "$(ssh {name} shoal token)"</code>
    </p>
  )
}

function Moving({ cluster }: { cluster: StateEvent }) {
  const { transfers, self } = cluster
  const more = transfers.length - shownTransfers
  return (
    <>
      <p>{movementInWords(cluster)}</p>
      <Transfers transfers={transfers.slice(0, shownTransfers)} self={self} />
      {more > 0 && (
        <a href={hrefOf({ view: 'cluster' })}>{formatCount(more, 'more blob', 'more blobs')} on the way</a>
      )}
    </>
  )
}

function Pushed() {
  const answer = useAnswer<Rows<RepositoryRow>>('/api/repositories?order=newest&limit=6')
  return (
    <Answered of={answer} waiting="the images">
      {({ rows, total }) =>
        rows.length === 0 ? (
          <NothingPushed />
        ) : (
          <>
            <ul class="lines">
              {rows.map(({ name, newest }) => (
                <li key={name}>
                  {newest === undefined ? (
                    <a href={hrefOf({ view: 'repository', repository: name })}>{name}</a>
                  ) : (
                    <>
                      <a href={hrefOf({ view: 'image', repository: name, reference: newest.tag })}>
                        {name}:{newest.tag}
                      </a>
                      <span class="quiet">
                        <Age atMs={newest.writtenMs} />
                        <By author={newest.author} word="on" />
                      </span>
                    </>
                  )}
                </li>
              ))}
            </ul>
            <a href={hrefOf({ view: 'repositories' })}>
              {total === 1 ? 'The one repository' : `All ${formatNumber(total)} repositories`}
            </a>
          </>
        )
      }
    </Answered>
  )
}

export function NothingPushed() {
  const registry = state.value?.http ?? 'localhost:5000'
  return (
    <Empty title="Nothing was pushed yet.">
      <p>
        On any host of the cluster: <code>docker tag app {registry}/team/app:1</code>, then{' '}
        <code>docker push {registry}/team/app:1</code>
      </p>
    </Empty>
  )
}

/** As `shoal doctor` on the node's host, without what is as it should be. */
function Doctor() {
  const answer = useAnswer<DoctorAnswer>('/api/doctor', { follow: false })
  return (
    <Answered of={answer} waiting="the doctor">
      {({ findings }) =>
        findings.length === 0 ? (
          <p class="quiet">Nothing is wrong.</p>
        ) : (
          <ul class="findings">
            {findings.map(({ check, level, found, advice }) => (
              <li key={`${check} ${found}`} class={`notice ${level === 'fault' ? 'bad' : 'warn'}`}>
                <p>
                  <strong>{level === 'fault' ? 'Fault' : 'Note'}</strong>, {check}: {found}
                </p>
                {advice !== undefined && <p class="quiet">{advice}</p>}
              </li>
            ))}
          </ul>
        )
      }
    </Answered>
  )
}

function Room() {
  const answer = useAnswer<StorageAnswer>('/api/storage', { follow: false })
  return (
    <Answered of={answer} waiting="the disk">
      {(storage) => (
        <>
          <p>{roomInWords(storage)}</p>
          <p>{freeableInWords(storage)}</p>
          {storage.short.images > 0 && <p class="notice warn">{shortInWords(storage.short)}</p>}
          <a href={hrefOf({ view: 'storage' })}>What is stored, and what can go</a>
        </>
      )}
    </Answered>
  )
}
