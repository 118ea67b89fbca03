/** The last hour of this node: what its clients read and from where, how much they pulled, and which pulls failed. */
import { useMemo, useState } from 'preact/hooks'
import type { FailureFacts, HourAnswer } from '../../answers/hour.ts'
import { formatCount, formatNumber, formatRate, shortDigest } from '../format.ts'
import { hourInWords, isQuiet, pullLines, readLines, sources, sourceWords } from '../hour.ts'
import { state } from '../live.ts'
import { hrefOf } from '../route.ts'
import { sentence } from '../sentence.ts'
import { useAnswer } from '../use-answer.ts'
import { Age } from './age.tsx'
import { LineChart } from './line-chart.tsx'
import { Answered } from './states.tsx'

const againMs = 15_000
const shownFailures = 5

const bySource = sources.map((source) => ({ kind: source, label: sourceWords[source] }))
/** Round in the units that sizes are told in. */
const rateSteps = Array.from({ length: 41 }, (_, power) => 2 ** power)
/** Of pulls there are no halves. */
const countSteps = Array.from({ length: 8 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat()
const byPull = [...bySource, { kind: 'failed', label: 'failed' }]

export function Hour() {
  const along = String(Math.floor((state.value?.nowMs ?? 0) / againMs))
  const answer = useAnswer<HourAnswer>('/api/hour', { follow: false, along })
  return (
    <Answered of={answer} waiting="the last hour">
      {(hour) => (
        <>
          <p>{hourInWords(hour)}</p>
          {!isQuiet(hour) && <Charts hour={hour} />}
          <Failures failures={hour.failures} />
        </>
      )}
    </Answered>
  )
}

function Charts({ hour: { minutes } }: { hour: HourAnswer }) {
  const read = useMemo(() => readLines(minutes), [minutes])
  const pulls = useMemo(() => pullLines(minutes), [minutes])
  return (
    <div class="columns">
      <LineChart
        title="Read by clients, from"
        lines={read}
        series={bySource}
        format={formatRate}
        steps={rateSteps}
      />
      <LineChart
        title="Pulls a minute, from"
        lines={pulls}
        series={byPull}
        format={formatNumber}
        steps={countSteps}
      />
    </div>
  )
}

function Failures({ failures }: { failures: FailureFacts[] }) {
  const [isWhole, setWhole] = useState(false)
  if (failures.length === 0) return null
  const shown = isWhole ? failures : failures.slice(0, shownFailures)
  const more = failures.length - shown.length
  return (
    <>
      <h3>Pulls that failed</h3>
      <ul class="lines failures">
        {shown.map((failure) => (
          <Failed key={`${failure.repository} ${failure.reference}`} failure={failure} />
        ))}
      </ul>
      {more > 0 && (
        <button type="button" class="plain small" onClick={() => setWhole(true)}>
          Show {formatNumber(more)} more
        </button>
      )}
    </>
  )
}

function Failed({ failure }: { failure: FailureFacts }) {
  const { kind, repository, reference, code, reason, times, lastMs, client } = failure
  const isTag = !reference.includes(':')
  const name = isTag ? `${repository}:${reference}` : `${repository}@${shortDigest(reference)}`
  const isThere = code !== 'MANIFEST_UNKNOWN' && code !== 'NAME_UNKNOWN'
  return (
    <li>
      {!isThere ? (
        <span>{name}</span>
      ) : kind === 'blob' ? (
        <span>
          Blob <code>{shortDigest(reference)}</code> of{' '}
          <a href={hrefOf({ view: 'repository', repository })}>{repository}</a>
        </span>
      ) : (
        <a href={hrefOf({ view: 'image', repository, reference })}>{name}</a>
      )}
      <span class="quiet">
        {times > 1 && `${formatCount(times, 'time')}, last `}
        <Age atMs={lastMs} />
        {client !== undefined && ` for ${client}`}
      </span>
      <span class="reason">{sentence(reason, [repository])}</span>
    </li>
  )
}
