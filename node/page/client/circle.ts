/** Where the members stand in the picture of the cluster: in a circle, this node at the top, names turned outward. */

export interface Place {
  peer: string
  x: number
  y: number
  anchor: 'start' | 'middle' | 'end'
}

export interface PictureSize {
  width: number
  height: number
  /** Kept free at the sides for the names, and above and below. */
  marginX: number
  marginY: number
}

export function placeMembers(
  peers: readonly string[],
  { width, height, marginX, marginY }: PictureSize,
): Place[] {
  if (peers.length === 1)
    return peers.map((peer) => ({ peer, x: width / 2, y: height / 2, anchor: 'middle' }))
  const turns = peers.map((_, index) => (index / peers.length) * 2 * Math.PI - Math.PI / 2)
  // The lowest of an odd number stands above the circle's lower end; the picture is stretched over that.
  const lowest = Math.max(...turns.map(Math.sin))
  return peers.map((peer, index) => {
    const [cos, sin] = [Math.cos(turns[index] ?? 0), Math.sin(turns[index] ?? 0)]
    const share = (sin + 1) / (lowest + 1)
    return {
      peer,
      x: width / 2 + cos * (width / 2 - marginX),
      y: marginY + share * (height - 2 * marginY),
      anchor: Math.abs(cos) < 0.35 ? 'middle' : cos > 0 ? 'start' : 'end',
    }
  })
}

/** As much of the beginning of a name as fits in the picture, `side` beside its place; a letter is `letter` wide. */
export function nameWithin(
  name: string,
  { x, anchor }: Place,
  { width }: PictureSize,
  { side, letter }: { side: number; letter: number },
): string {
  const rooms = { start: width - x - side, end: x - side, middle: 2 * Math.min(x, width - x) }
  const letters = Math.max(1, Math.floor(rooms[anchor] / letter))
  return name.length <= letters ? name : `${name.slice(0, letters - 1)}…`
}

/** A curve from one to the other that bends to its right, so that both directions can be seen. */
export function curve(from: Place, to: Place, gap: number): string {
  const [dx, dy] = [to.x - from.x, to.y - from.y]
  const length = Math.hypot(dx, dy) || 1
  const [ux, uy] = [dx / length, dy / length]
  const bend = Math.min(26, length * 0.14)
  const start = [from.x + ux * gap - uy * 3, from.y + uy * gap + ux * 3]
  const end = [to.x - ux * gap - uy * 3, to.y - uy * gap + ux * 3]
  const middle = [(from.x + to.x) / 2 - uy * bend, (from.y + to.y) / 2 + ux * bend]
  const point = ([x = 0, y = 0]: number[]) => `${x.toFixed(1)} ${y.toFixed(1)}`
  return `M ${point(start)} Q ${point(middle)} ${point(end)}`
}

/** Wider for more, by powers: a trickle is seen beside a stream. */
export function strokeOf(bytesPerSecond: number): number {
  return Math.max(1.5, Math.min(7, 1 + Math.log2(1 + bytesPerSecond / 65_536) * 0.6))
}
