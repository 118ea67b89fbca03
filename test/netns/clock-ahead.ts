/** For `node --import`: the process believes that it is TEST_CLOCK_AHEAD_MS later than it is, until SIGUSR2 sets its clock right. */
let aheadMs = Number(process.env.TEST_CLOCK_AHEAD_MS)
const RealDate = Date
const now = (): number => RealDate.now() + aheadMs

process.on('SIGUSR2', () => {
  aheadMs = 0
})

globalThis.Date = new Proxy(RealDate, {
  construct: (target, args, newTarget) =>
    Reflect.construct(target, args.length === 0 ? [now()] : args, newTarget),
  apply: () => new RealDate(now()).toString(),
  get: (target, property, receiver) => (property === 'now' ? now : Reflect.get(target, property, receiver)),
})
