/** All fuzz targets, by the names by which they are run. */
import type { Target } from './target.ts'
import { archives } from './targets/archives.ts'
import { clients } from './targets/clients.ts'
import { conversations } from './targets/conversations.ts'
import { members } from './targets/members.ts'
import { operators } from './targets/operators.ts'
import { records } from './targets/records.ts'
import { upstreams } from './targets/upstreams.ts'

export const targets = {
  members,
  conversations,
  records,
  clients,
  upstreams,
  archives,
  operators,
} satisfies Record<string, Target>
export type TargetName = keyof typeof targets

export const targetNames = Object.keys(targets) as TargetName[]
