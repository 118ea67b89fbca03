/** One answer of the API in a component: asked anew when its path or the ledger changes, kept while it is asked again. */
import { useEffect, useState } from 'preact/hooks'
import { ApiError, ask } from './api.ts'
import { state } from './live.ts'

export interface Answer<T> {
  answer?: T
  error?: ApiError
  again(): void
}

/** So many changes come at once while somebody pushes. */
const settleMs = 400

export interface Follow {
  /** Whether it is asked anew when the ledger changes. */
  follow?: boolean
  /** What else has it asked anew when it changes. */
  along?: string
}

export function useAnswer<T>(path: string, { follow = true, along = '' }: Follow = {}): Answer<T> {
  const [found, setFound] = useState<{ path: string; answer?: T; error?: ApiError }>({ path })
  const [turn, setTurn] = useState(0)
  const revision = follow ? state.value?.revision : undefined

  useEffect(() => {
    const controller = new AbortController()
    const load = async (): Promise<void> => {
      try {
        const answer = await ask<T>(path, { signal: controller.signal })
        if (!controller.signal.aborted) setFound({ path, answer })
      } catch (error) {
        if (controller.signal.aborted) return
        if (!(error instanceof ApiError)) throw error
        setFound((before) => (before.path === path ? { ...before, error } : { path, error }))
      }
    }
    const isFirst = found.path !== path || found.answer === undefined
    const timer = setTimeout(() => void load(), isFirst ? 0 : settleMs)
    return () => {
      clearTimeout(timer)
      controller.abort()
    }
  }, [path, turn, revision, along])

  const current = found.path === path ? found : { path }
  return {
    ...(current.answer === undefined ? {} : { answer: current.answer }),
    ...(current.error === undefined ? {} : { error: current.error }),
    again: () => setTurn((before) => before + 1),
  }
}
