/** What the page is made of, put together once: the API takes it as it is. */
import type { Access } from '../../../src/access/access.ts'
import type { Clock, Logger } from '../../../src/base/base.ts'
import type { BodyWatch } from '../../../src/http/http.ts'
import type { PageNode } from '../page.ts'
import { PageAccounts } from './accounts.ts'
import { Changes, type MayChange } from './changes.ts'
import { DoctorReports } from './doctor.ts'
import { PageListing } from './listing.ts'
import { Live } from './live.ts'
import { PageMembers } from './members.ts'
import { Observatory } from './observatory.ts'
import { RuleReports } from './rules.ts'
import { SameOrigin } from './same-origin.ts'
import { StorageReports } from './storage.ts'
import { Visitors } from './visitors.ts'

export interface PartsOptions {
  node: PageNode
  bodies: BodyWatch
  access: Access
  /** Who may change something without signing in: nobody, browsers that reach it as localhost, or anyone. */
  mayChange: MayChange
  clock: Clock
  logger: Logger
}

export type PageParts = ReturnType<typeof makeParts>

export function makeParts({ node, bodies, access, mayChange, clock, logger }: PartsOptions) {
  const visitors = new Visitors(access)
  const observatory = new Observatory(node, { clock, logger })
  const storage = new StorageReports(node, clock)
  const rules = new RuleReports(node, clock)
  return {
    node,
    clock,
    logger,
    visitors,
    observatory,
    storage,
    rules,
    sameOrigin: new SameOrigin(bodies),
    listing: new PageListing(node),
    live: new Live(observatory, { clock, logger }),
    changes: new Changes(node, {
      mayChange,
      logger,
      onCollected: () => storage.forget(),
      onKept: () => rules.forget(),
    }),
    accounts: new PageAccounts(node, visitors),
    members: new PageMembers(node),
    doctor: new DoctorReports(node, clock),
  }
}
