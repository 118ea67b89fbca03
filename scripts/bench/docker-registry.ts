/** Debian's docker-registry with its filesystem driver: what Shoal is measured beside. */
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { runCommand } from './command.ts'
import type { Subject } from './subject.ts'

export const dockerRegistry: Subject = {
  name: 'docker-registry',

  async version({ signal }) {
    const { stdout } = await runCommand('docker-registry', ['--version'], { signal })
    return stdout.trim().split(' ').at(-1) ?? 'unknown'
  },

  async prepare({ dataDir, workDir, httpHost = '127.0.0.1', httpPort }) {
    const configPath = path.join(workDir, 'config.yml')
    await writeFile(configPath, configuration(dataDir, `${httpHost}:${httpPort}`))
    return { file: 'docker-registry', args: ['serve', configPath] }
  },
}

/** Debian's own configuration, without the password file, and as quiet as it can be. */
function configuration(dataDir: string, address: string): string {
  return `version: 0.1
log:
  level: error
  accesslog:
    disabled: true
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: ${JSON.stringify(dataDir)}
  delete:
    enabled: true
http:
  addr: ${address}
`
}
