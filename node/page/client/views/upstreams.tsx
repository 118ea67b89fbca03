/** The registries outside the cluster: whether they answer, what they allow, and what came from them. */
import type { UpstreamFacts, UpstreamsAnswer } from '../../answers/storage.ts'
import { formatBytes, formatCount, formatLeft, formatNumber } from '../format.ts'
import { Answered, Empty } from '../parts/states.tsx'
import { StrangerText } from '../parts/stranger-text.tsx'
import { useAnswer } from '../use-answer.ts'
import { upstreamsInWords } from '../words.ts'

export function UpstreamsView() {
  const answer = useAnswer<UpstreamsAnswer>('/api/upstreams', { follow: false })
  return (
    <>
      <h1>Upstreams</h1>
      <Answered of={answer} waiting="the upstreams">
        {({ upstreams }) => (
          <>
            <p class="lead">{upstreamsInWords(upstreams, Date.now())}</p>
            {upstreams.length === 0 ? <NoUpstreams /> : <Upstreams upstreams={upstreams} />}
          </>
        )}
      </Answered>
    </>
  )
}

function NoUpstreams() {
  return (
    <Empty title="There is no upstream.">
      <p>
        With one, images of other registries come into the cluster once, and stay here when the line is cut:{' '}
        <code>shoal serve --help</code> says how to name it.
      </p>
    </Empty>
  )
}

function Upstreams({ upstreams }: { upstreams: UpstreamFacts[] }) {
  return (
    <table class="table upstreams">
      <thead>
        <tr>
          <th scope="col">Upstream</th>
          <th scope="col">State</th>
          <th scope="col">Its limit</th>
          <th scope="col">Fetched since the start</th>
        </tr>
      </thead>
      <tbody>
        {upstreams.map((upstream) => (
          <tr key={upstream.name}>
            <td class="name">
              {upstream.name}
              <span class="quiet address">{upstream.url}</span>
            </td>
            <td>
              <State upstream={upstream} />
            </td>
            <td class="number">{limitOf(upstream)}</td>
            <td class="number">
              {formatBytes(upstream.receivedBytes)}
              <span class="quiet address">
                {formatCount(upstream.manifestRequests, 'manifest')},{' '}
                {formatCount(upstream.blobRequests, 'blob')}
              </span>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

function State({ upstream }: { upstream: UpstreamFacts }) {
  const { reachable, lastError, pausedUntilMs = 0 } = upstream
  const left = (pausedUntilMs - Date.now()) / 1000
  return (
    <>
      {left > 0
        ? `asked to wait another ${formatLeft(left)}`
        : reachable === undefined
          ? 'not asked yet'
          : reachable
            ? 'answers'
            : 'cannot be reached'}
      {lastError !== undefined && (
        <span class="quiet address wrapped">
          last failure: <StrangerText text={lastError} />
        </span>
      )}
    </>
  )
}

function limitOf({ limit, remaining }: UpstreamFacts): string {
  if (remaining === undefined) return limit === undefined ? 'none told' : `${formatNumber(limit)} in all`
  return limit === undefined
    ? `${formatNumber(remaining)} left`
    : `${formatNumber(remaining)} of ${formatNumber(limit)} left`
}
