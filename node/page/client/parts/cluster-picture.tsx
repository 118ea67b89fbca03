/** The cluster as a picture: members in a circle, what moves between them as lines, those that are lost hollow. */
import type { StateEvent } from '../../answers/live.ts'
import { curve, nameWithin, type PictureSize, placeMembers, strokeOf } from '../circle.ts'
import { formatRate } from '../format.ts'
import { clusterInWords, movementInWords } from '../words.ts'
import { nameOf } from './member.tsx'

/** Beyond, names would lie on each other. */
const maxNamed = 24
const maxDrawn = 64
const narrow = window.matchMedia('(max-width: 640px)')

export function ClusterPicture({ cluster, size }: { cluster: StateEvent; size: PictureSize }) {
  const { members, lost, flows, self } = cluster
  const lostPeers = new Set(lost.map(({ peer }) => peer))
  const places = placeMembers(
    [...members, ...lost].slice(0, maxDrawn).map(({ peer }) => peer),
    size,
  )
  const placeOf = new Map(places.map((place) => [place.peer, place]))
  const radius = places.length > maxNamed ? 5 : 9
  // As wide as most letters at the size that the style sheet gives them.
  const letter = narrow.matches ? 10.2 : 7.8
  return (
    <figure class="picture">
      <svg
        viewBox={`0 0 ${size.width} ${size.height}`}
        role="img"
        aria-label={`${clusterInWords(cluster, nameOf.value)} ${movementInWords(cluster)}`}
      >
        <defs>
          <marker
            id="head"
            viewBox="0 0 8 8"
            refX="6"
            refY="4"
            markerWidth="9"
            markerHeight="9"
            markerUnits="userSpaceOnUse"
            orient="auto"
          >
            <path d="M0 0 L8 4 L0 8 z" />
          </marker>
        </defs>
        <g class="mesh">
          {places.length <= maxNamed &&
            places.flatMap((from, index) =>
              places
                .slice(index + 1)
                .filter((to) => !lostPeers.has(from.peer) && !lostPeers.has(to.peer))
                .map((to) => (
                  <line key={`${from.peer} ${to.peer}`} x1={from.x} y1={from.y} x2={to.x} y2={to.y} />
                )),
            )}
        </g>
        <g class="flows">
          {flows.map(({ from, to, bytesPerSecond }) => {
            const [start, end] = [placeOf.get(from), placeOf.get(to)]
            if (start === undefined || end === undefined) return null
            return (
              <path
                key={`${from}>${to}`}
                d={curve(start, end, radius + 6)}
                marker-end="url(#head)"
                style={{ '--stroke': strokeOf(bytesPerSecond).toFixed(2) }}
              >
                <title>{`${nameOf.value(from)} to ${nameOf.value(to)}: ${formatRate(bytesPerSecond)}`}</title>
              </path>
            )
          })}
        </g>
        {places.map((place) => {
          const { peer, x, y, anchor } = place
          const name = nameOf.value(peer)
          const kind = lostPeers.has(peer) ? 'lost' : peer === self ? 'self' : ''
          const side = anchor === 'start' ? radius + 8 : anchor === 'end' ? -radius - 8 : 0
          const below = y < size.height / 2 - 1 && places.length > 1 ? -radius - 8 : radius + 20
          return (
            <g key={peer} class={`node ${kind}`}>
              <title>{name}</title>
              <circle cx={x} cy={y} r={radius} />
              {places.length <= maxNamed && (
                <text x={x + side} y={y + (anchor === 'middle' ? below : 4)} text-anchor={anchor}>
                  {nameWithin(name, place, size, { side: Math.abs(side), letter })}
                </text>
              )}
            </g>
          )
        })}
      </svg>
    </figure>
  )
}
