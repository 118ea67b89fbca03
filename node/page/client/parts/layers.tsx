/** The layers of an image from the bottom up: how each was made, its size, and which members hold it. */
import type { BlobFacts } from '../../answers/images.ts'
import { formatBytes, formatCount, formatList } from '../format.ts'
import { state } from '../live.ts'
import { copiesOf } from '../presence.ts'
import { hrefOf } from '../route.ts'
import { Digest } from './copy.tsx'
import { nameOf } from './member.tsx'

export function Layers({ layers, isAsked }: { layers: BlobFacts[]; isAsked: boolean }) {
  const largest = Math.max(1, ...layers.map(({ bytes }) => bytes))
  return (
    <table class="table layers">
      <thead>
        <tr>
          <th scope="col">Layer</th>
          <th scope="col">Size</th>
          <th scope="col">Made by</th>
          <th scope="col">Held by</th>
        </tr>
      </thead>
      <tbody>
        {layers.map((layer, index) => (
          // One layer may stand in an image twice.
          <tr key={`${index} ${layer.digest}`}>
            <td>
              <a href={hrefOf({ view: 'blob', digest: layer.digest })}>
                <Digest digest={layer.digest} />
              </a>
            </td>
            <td class="number sized" style={{ '--share': `${((layer.bytes / largest) * 100).toFixed(1)}%` }}>
              {formatBytes(layer.bytes)}
            </td>
            <td class="made">
              <code>{layer.createdBy ?? ''}</code>
            </td>
            <td>{isAsked ? <Holders layer={layer} /> : <span class="quiet">asking…</span>}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}

function Holders({ layer }: { layer: BlobFacts }) {
  const { members = [], self = '' } = state.value ?? {}
  const { holders, isHere } = layer
  const copies = copiesOf(layer)
  if (copies === 0) return <span class="bad-text">nobody that is connected</span>
  // Who reads some images alone is told of no member.
  if (!Array.isArray(holders) || members.length === 0) return <span>{formatCount(copies, 'member')}</span>
  const all = isHere ? [self, ...holders] : holders
  const names = all.map(nameOf.value)
  return (
    <span title={names.join(', ')}>
      {all.length === members.length && all.length > 1 ? `all ${all.length} members` : formatList(names)}
    </span>
  )
}
