/** A bar that fills, with its share in words beside it. */
import { formatPercent } from '../format.ts'

export function Progress({ part, whole, label }: { part: number; whole: number; label: string }) {
  const percent = whole <= 0 ? 0 : Math.min(100, (part / whole) * 100)
  return (
    <span class="progress">
      <span
        class="track"
        role="progressbar"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.floor(percent)}
      >
        <span class="fill" style={{ '--share': `${percent.toFixed(2)}%` }} />
      </span>
      <span class="number">{formatPercent(part, whole)}</span>
    </span>
  )
}
