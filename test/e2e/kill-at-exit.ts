/** Child processes that must not outlive this one, whatever ends it. */
import type { ChildProcess } from 'node:child_process'

const children = new Set<ChildProcess>()

/** Kills the child when this process exits before it. One listener serves all of them: a cluster has more than ten. */
export function killAtExit(child: ChildProcess): void {
  if (children.size === 0) process.on('exit', killAll)
  children.add(child)
  const forget = (): void => {
    children.delete(child)
    if (children.size === 0) process.off('exit', killAll)
  }
  child.once('exit', forget)
  // One that could not be started never exits.
  child.once('error', () => child.pid === undefined && forget())
}

function killAll(): void {
  for (const child of children) child.kill('SIGKILL')
}
