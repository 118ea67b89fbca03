/** Hosts in what a command prints for people: by their names. */
import { perform } from '../admin/perform.ts'
import { inWords, peersIn } from '../peer-names.ts'
import { printable } from '../screen/output.ts'
import type { Settings } from '../settings/settings.ts'

export interface CalledPeers {
  /** The name, with the id where another host has the same one; else the id. */
  call(peer: string): string
  /** A sentence with names in the place of ids. */
  inWords(text: string): string
}

/** What the hosts are called whose ids stand anywhere in `value`. */
export async function calledIn(settings: Settings, value: unknown): Promise<CalledPeers> {
  const peers = [...new Set(peersIn(JSON.stringify(value) ?? ''))]
  const called = peers.length === 0 ? {} : await perform(settings, 'called', { peers })
  return calledBy(called)
}

export function calledBy(called: Readonly<Record<string, string>>): CalledPeers {
  return {
    call: (peer) => printable((Object.hasOwn(called, peer) ? called[peer] : undefined) ?? peer),
    inWords: (text) => inWords(text, called),
  }
}
