/** How long ago something was, with the exact time for whoever points at it. */
import { formatAge, formatTime } from '../format.ts'

export function Age({ atMs }: { atMs: number }) {
  return (
    <time dateTime={new Date(atMs).toISOString()} title={formatTime(atMs)}>
      {formatAge(atMs, Date.now())}
    </time>
  )
}
