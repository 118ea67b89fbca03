/** Who looks at the page, and the page's part of the proof: the other part is a cookie that scripts cannot read. */
import { effect, signal } from '@preact/signals'
import type { MeAnswer, SignedInAnswer } from '../answers/access.ts'
import { ApiError, ask, change, signInAsked } from './api.ts'
import { seal, sealKey } from './seal.ts'

/** Absent until the node has said it. */
export const me = signal<MeAnswer | undefined>(undefined)

/** Asks the node who this is. False where it cannot be reached. */
export async function findMe(): Promise<boolean> {
  try {
    const found = await ask<MeAnswer>('/api/me')
    if (JSON.stringify(found) !== JSON.stringify(me.value)) me.value = found
    return true
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    return false
  }
}

/** Throws ApiError. */
export async function signIn(name: string, password: string): Promise<void> {
  const signedIn = await change<SignedInAnswer>('/api/sign-in', { name, password })
  seal.set(signedIn.seal)
  await findMe()
}

/** Throws ApiError. */
export async function signOut(): Promise<void> {
  await change('/api/sign-out', {})
  seal.set(undefined)
  await findMe()
}

/** Whoever signs in or out does so in every tab; a session may end while somebody looks. */
export function followSession(): void {
  window.addEventListener('storage', ({ key }) => {
    if (key === sealKey) void findMe()
  })
  effect(() => {
    if (signInAsked.value > 0) void findMe()
  })
}
