/** A table of any length: only the rows in sight are drawn, and only the parts in sight are asked for. */
import type { ComponentChildren } from 'preact'
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import type { Rows } from '../../answers/answer.ts'
import { ApiError, ask } from '../api.ts'
import { formatCount } from '../format.ts'
import { state } from '../live.ts'
import { partsOf, windowOf } from '../window-of.ts'
import { Failure, Waiting } from './states.tsx'

export interface LongTableProps<T> {
  /** Of the API, with everything but `offset` and `limit`. */
  path: string
  /** What one row is, and what several are, such as `tag` and `tags`. */
  what: [one: string, several: string]
  /** Names the grid of columns in the style sheet. */
  kind: string
  columns: string[]
  keyOf(row: T): string
  /** The cells of one row. */
  children(row: T): ComponentChildren
  /** When there is no row. */
  empty: ComponentChildren
}

const rowsPerPart = 100
const settleMs = 400
const phone = window.matchMedia('(max-width: 640px)')

interface Loaded<T> {
  path: string
  total: number
  isCut: boolean
  parts: Map<number, T[]>
}

export function LongTable<T>(props: LongTableProps<T>) {
  const { path, what, kind, columns, keyOf, children, empty } = props
  const [loaded, setLoaded] = useState<Loaded<T>>()
  const [error, setError] = useState<string>()
  const body = useRef<HTMLTableSectionElement>(null)
  const view = useScroll(body)
  const rowHeight = phone.matches ? 76 : 45
  const total = loaded?.total ?? 0
  const rows = windowOf(total, { rowHeight, ...view })
  const needed = loaded?.path === path ? partsOf(rows, rowsPerPart) : [0]
  const revision = state.value?.revision

  const load = async (part: number, signal: AbortSignal): Promise<void> => {
    try {
      const join = path.includes('?') ? '&' : '?'
      const offset = part * rowsPerPart
      const answer = await ask<Rows<T>>(`${path}${join}offset=${offset}&limit=${rowsPerPart}`, { signal })
      if (signal.aborted) return
      setError(undefined)
      setLoaded((before) => merge(before, path, part, answer))
    } catch (cause) {
      if (signal.aborted) return
      if (!(cause instanceof ApiError)) throw cause
      setError(cause.message)
    }
  }
  useEffect(() => {
    const controller = new AbortController()
    for (const part of needed) {
      if (loaded?.path !== path || !loaded.parts.has(part)) void load(part, controller.signal)
    }
    return () => controller.abort()
  }, [path, needed.join()])
  useEffect(() => {
    if (loaded === undefined) return
    const controller = new AbortController()
    const timer = setTimeout(() => {
      for (const part of needed) void load(part, controller.signal)
    }, settleMs)
    return () => {
      clearTimeout(timer)
      controller.abort()
    }
  }, [revision])

  if (loaded === undefined) {
    return error === undefined ? <Waiting what={`the ${what[1]}`} /> : <Failure message={error} />
  }
  const drawn = Array.from({ length: rows.end - rows.first }, (_, index) => rows.first + index)
  return (
    <>
      {error !== undefined && <Failure message={error} />}
      <p class="count quiet" role="status">
        {loaded.isCut ? 'The first ' : ''}
        {formatCount(total, ...what)}
      </p>
      {total === 0 ? (
        empty
      ) : (
        <table class={`table ${kind}`} aria-rowcount={total + 1}>
          <thead>
            <tr aria-rowindex={1}>
              {columns.map((column) => (
                <th key={column} scope="col">
                  {column}
                </th>
              ))}
            </tr>
          </thead>
          <tbody
            ref={body}
            class="long"
            style={{
              '--above': `${rows.first * rowHeight}px`,
              '--below': `${(total - rows.end) * rowHeight}px`,
              '--row': `${rowHeight}px`,
            }}
          >
            {drawn.map((index) => {
              const row = loaded.parts.get(Math.floor(index / rowsPerPart))?.[index % rowsPerPart]
              return (
                <tr key={row === undefined ? index : keyOf(row)} aria-rowindex={index + 2}>
                  {row === undefined ? <td class="quiet">…</td> : children(row)}
                </tr>
              )
            })}
          </tbody>
        </table>
      )}
    </>
  )
}

function merge<T>(before: Loaded<T> | undefined, path: string, part: number, answer: Rows<T>): Loaded<T> {
  const isSame = before?.path === path && before.total === answer.total
  const parts = new Map(isSame ? before.parts : [])
  parts.set(part, answer.rows)
  return { path, total: answer.total, isCut: answer.isCut === true, parts }
}

/** How far the window is scrolled into the rows, and how much of them fits in it. */
function useScroll(body: { current: HTMLElement | null }): { scrolled: number; height: number } {
  const [view, setView] = useState({ scrolled: 0, height: window.innerHeight })
  useLayoutEffect(() => {
    const look = () => {
      const top = body.current?.getBoundingClientRect().top ?? 0
      // In steps, so that not every pixel draws anew.
      const scrolled = Math.max(0, Math.floor(-top / 200) * 200)
      const height = window.innerHeight + 200
      setView((before) =>
        before.scrolled === scrolled && before.height === height ? before : { scrolled, height },
      )
    }
    look()
    window.addEventListener('scroll', look, { passive: true })
    window.addEventListener('resize', look)
    return () => {
      window.removeEventListener('scroll', look)
      window.removeEventListener('resize', look)
    }
  }, [])
  return view
}
