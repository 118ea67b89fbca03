/** The pieces of a blob as they arrive, in order from the top left: filled when here, and the same in words. */
import { useEffect, useRef } from 'preact/hooks'
import type { BlobEvent } from '../../answers/live.ts'
import { formatBytes, formatNumber } from '../format.ts'
import { cellsOf, readablePieces, readBitfield } from '../pieces.ts'

const maxCells = 2048
const cellPx = 11
const gapPx = 2

export function PieceMap({ transfer }: { transfer: NonNullable<BlobEvent['transfer']> }) {
  const canvas = useRef<HTMLCanvasElement>(null)
  const { bitfield, pieces, held, pieceBytes } = transfer
  const bits = readBitfield(bitfield)
  const cells = cellsOf(bits, pieces, maxCells)
  useEffect(() => {
    const draw = () => {
      if (canvas.current !== null) paint(canvas.current, cells)
    }
    draw()
    const dark = window.matchMedia('(prefers-color-scheme: dark)')
    window.addEventListener('resize', draw)
    dark.addEventListener('change', draw)
    return () => {
      window.removeEventListener('resize', draw)
      dark.removeEventListener('change', draw)
    }
  }, [bitfield])
  const perCell = Math.max(1, Math.ceil(pieces / maxCells))
  const first = readablePieces(bits, pieces)
  const words = `${formatNumber(held)} of ${formatNumber(pieces)} pieces of ${formatBytes(pieceBytes)} are here; the first ${formatNumber(first)} without a gap, which is what a reader can have.`
  return (
    <figure class="pieces">
      <canvas ref={canvas} role="img" aria-label={words} />
      <figcaption>
        {words}
        {perCell > 1 && ` Each square stands for ${perCell} pieces.`}
      </figcaption>
    </figure>
  )
}

function paint(canvas: HTMLCanvasElement, cells: number[]): void {
  const width = canvas.parentElement?.clientWidth ?? 600
  const perRow = Math.max(1, Math.floor((width + gapPx) / (cellPx + gapPx)))
  const height = Math.ceil(cells.length / perRow) * (cellPx + gapPx)
  const scale = window.devicePixelRatio || 1
  canvas.width = Math.round(width * scale)
  canvas.height = Math.round(height * scale)
  canvas.style.width = `${width}px`
  canvas.style.height = `${height}px`
  const context = canvas.getContext('2d')
  if (context === null) return
  context.scale(scale, scale)
  const colours = getComputedStyle(canvas)
  const [empty, full] = [colours.getPropertyValue('--piece-empty'), colours.getPropertyValue('--piece-full')]
  cells.forEach((share, index) => {
    const x = (index % perRow) * (cellPx + gapPx)
    const y = Math.floor(index / perRow) * (cellPx + gapPx)
    context.fillStyle = empty
    context.fillRect(x, y, cellPx, cellPx)
    context.fillStyle = full
    context.fillRect(x, y + cellPx * (1 - share), cellPx, cellPx * share)
  })
}
