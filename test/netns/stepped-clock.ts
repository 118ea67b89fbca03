/**
 * For `node --import`: on SIGUSR2 the wall clock steps to be as many milliseconds ahead as the file says that
 * TEST_CLOCK names; monotonic time goes on as it was. Threads keep the true time: none of theirs leaves the process.
 */
import { readFileSync } from 'node:fs'

const file = process.env.TEST_CLOCK ?? ''
const RealDate = Date
let aheadMs = Number(readFileSync(file, 'utf8'))
const now = (): number => RealDate.now() + aheadMs

process.on('SIGUSR2', () => {
  aheadMs = Number(readFileSync(file, 'utf8'))
})

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
  apply: () => new RealDate(now()).toString(),
  get: (target, property, receiver) => (property === 'now' ? now : Reflect.get(target, property, receiver)),
})
