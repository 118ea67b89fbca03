/** Changes of accounts that the command itself decides on and signs, with an administrator's own key: no node ever has that. */
import { readAccount, robotName, signAccount } from '../../src/records/records.ts'
import type { Identity } from '../../src/wire/wire.ts'
import { perform } from '../admin/perform.ts'
import * as account from '../operations/account.ts'
import type { OperationTypes } from '../operations/operations.ts'
import type { Settings } from '../settings/settings.ts'

const changes = {
  'account-add': account.addAccount,
  'account-robot': account.addRobot,
  'account-password': account.setPassword,
  'account-renew': account.renewSecret,
  'account-groups': account.setGroups,
  'account-disable': account.disableAccount,
  'account-rm': account.removeAccount,
}
export type AccountChange = keyof typeof changes

/** As `perform`: what the node is asked for is the record that stands, and to take the one that was signed here. */
export async function performSigned<N extends AccountChange>(
  settings: Settings,
  name: N,
  params: OperationTypes[N]['params'],
  identity: Identity,
): Promise<OperationTypes[N]['result']> {
  const asked = [params.name, robotName(params.name)]
  const { records, http, hasRules } = await perform(settings, 'account-records', { names: asked })
  const known = new Map(Object.entries(records).map(([of, text]) => [of, Buffer.from(text, 'base64')]))
  const names: account.AccountNames = {
    findAccount: (of) => {
      const record = known.get(of)
      return record === undefined ? undefined : readAccount(record)
    },
    // How many there are the node looks at when it takes the record.
    listAccounts: async () => [],
    hasRules: () => hasRules,
    async change(of, decide) {
      const value = decide(names.findAccount(of)?.value)
      const record = Buffer.from(
        signAccount({ name: of, value, standing: known.get(of) }, identity, Date.now()),
      )
      await perform(settings, 'record-submit', { record: record.toString('base64') })
      known.set(of, record)
    },
  }
  const change = changes[name] as (context: account.AccountContext, params: unknown) => Promise<unknown>
  return (await change(
    { names, settings, ...(http === undefined ? {} : { serving: { http } }) },
    params,
  )) as OperationTypes[N]['result']
}
