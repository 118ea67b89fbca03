/** How loud a line about failed work is. */
import { expect, it } from 'vitest'
import { ClosingError, logFailure, NodeStateError, silentLogger } from '../../src/base/base.ts'

class FullError extends NodeStateError {
  readonly code = 'FULL'
}

function levelOf(error: unknown): string[] {
  const said: string[] = []
  const hear = (level: string) => (fields: object, message: string) =>
    void said.push(`${level} ${message} ${Object.keys(fields)}`)
  logFailure({ ...silentLogger, debug: hear('debug'), error: hear('error') }, error, 'it failed', {
    task: 'x',
  })
  return said
}

const closed = Object.assign(new Error('Database is not open'), { code: 'LEVEL_DATABASE_NOT_OPEN' })

it.each([
  ['a state of the node', new FullError('the disk is full')],
  ['what came of such a state', new Error('not kept', { cause: new FullError('the disk is full') })],
  ['a node that stops', new ClosingError('the swarm is closing')],
  ['a database that closed under it', new Error('not read', { cause: closed })],
])('is no error for %s', (_, error) => {
  expect(levelOf(error)).toEqual(['debug it failed err,task'])
})

it.each([
  ['a fault', new Error('not a function')],
  ['what is no Error at all', 'no'],
  ['one with another cause', new Error('not kept', { cause: new Error('why') })],
])('is an error for %s', (_, error) => {
  expect(levelOf(error)).toEqual(['error it failed err,task'])
})
