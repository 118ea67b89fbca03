/** The Debian package and the systemd unit in it: installed, started, stopped and upgraded by a systemd of its own. */
import { cp, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openClient, pullManifest, pushItem } from './client.ts'
import { expectGolden } from './golden-checks.ts'
import { unpackGolden } from './golden-data.ts'
import { makeImage } from './image.ts'
import { expectOrderlyStop } from './orderly-stop.ts'
import { run, showOutputOnFailure } from './process.ts'
import { freePorts } from './registry.ts'
import { requires } from './requirement.ts'
import { openScratchFolder, type ScratchFolder } from './scratch-folder.ts'
import { openSystemdMachine, type SystemdMachine, systemdNeeds } from './systemd-machine.ts'

const script = path.join(import.meta.dirname, '../../scripts/deb/deb.ts')
const unit = path.join(import.meta.dirname, '../../deploy/systemd/shoal.service')

describe('the Debian package', requires(...systemdNeeds, 'shoal', 'npm', 'dpkg', 'dpkg-deb', 'tar'), () => {
  /** Of the machine that the test makes. */
  const packageInside = '/var/tmp/shoal.deb'
  let folder: ScratchFolder
  let machine: SystemdMachine
  let port: number

  beforeAll(async () => {
    folder = await openScratchFolder()
    const built = await run(process.execPath, [script, '--fast', '--out', folder.path])
    machine = await openSystemdMachine()
    await cp(built.stdout.trim(), machine.at(packageInside))
    await machine.run('dpkg', '--install', packageInside)
    const [http, p2p] = await freePorts(2)
    port = http
    await writeFile(
      machine.at('/etc/default/shoal'),
      `SHOAL_HTTP=127.0.0.1:${http}\nSHOAL_P2P=127.0.0.1:${p2p}\nSHOAL_NO_MDNS=true\n`,
    )
  }, 120_000)
  afterAll(async () => {
    await machine?.[Symbol.asyncDispose]()
    await folder?.[Symbol.asyncDispose]()
  })
  showOutputOnFailure(() => [machine])

  const show = async (property: string) =>
    (await machine.run('systemctl', 'show', '--value', '--property', property, 'shoal')).stdout.trim()

  test('does not start a node before it is told to', async () => {
    expect([await show('ActiveState'), await show('UnitFileState')]).toEqual(['inactive', 'disabled'])
  })

  test('runs as its own user in a closed room, answers when it is started, and stops in order', async () => {
    await machine.run('systemctl', 'enable', '--now', 'shoal')
    const status = await readFile(machine.at(`/proc/${await show('MainPID')}/status`), 'utf8')
    expect(status).toMatch(/^Uid:\t[1-9]\d*\t/m)
    expect(status).toMatch(/^CapBnd:\t0+$/m)
    expect(status).toMatch(/^NoNewPrivs:\t1$/m)
    expect(status).toMatch(/^Seccomp:\t2$/m)
    const image = makeImage({ seed: 'debian package' })
    {
      using client = openClient(port)
      await pushItem(client, 'team/app', '1', image)
    }
    const token = await machine.run('shoal', 'token')
    expect(token.stdout).toMatch(/^shoal\w+/)
    await expectOrderlyStop(port, async () => {
      await machine.run('systemctl', 'stop', 'shoal')
      return Number(await show('ExecMainStatus'))
    })
    expect(await show('Result')).toBe('success')
    // What root does to a stopped node must not take the files away from its user.
    expect((await machine.run('shoal', 'ls')).stdout).toContain('team/app')
    await machine.run('systemctl', 'start', 'shoal')
    using client = openClient(port)
    const { headers } = await pullManifest(client, 'team/app', '1')
    expect(headers['docker-content-digest']).toBe(image.manifest.descriptor.digest)
  })

  test('is started again by an upgrade of its package', async () => {
    const before = await show('MainPID')
    await machine.run('dpkg', '--install', packageInside)
    const upgraded = await show('MainPID')
    expect([await show('ActiveState'), upgraded === before]).toEqual(['active', false])
  })

  test('goes on with the data of an earlier version', async () => {
    const golden = await unpackGolden(1, folder.path)
    await machine.run('systemctl', 'stop', 'shoal')
    await machine.run('rm', '-rf', '/var/lib/shoal')
    await cp(folder.at('data'), machine.at('/var/lib/shoal'), { recursive: true, preserveTimestamps: true })
    await machine.run('systemctl', 'start', 'shoal')
    using client = openClient(port)
    await expectGolden(client, golden)
  })

  test('is removed without its data', async () => {
    await machine.run('dpkg', '--purge', 'shoal')
    const left = await machine.run('ls', '/var/lib/shoal', '/usr/lib')
    expect(left.stdout).toMatch(/^identity$/m)
    expect(left.stdout).not.toMatch(/^shoal$/m)
  })

  test('has a unit that systemd finds well protected', async () => {
    const { stdout } = await run('systemd-analyze', ['security', '--offline=true', '--no-pager', unit])
    const exposure = /Overall exposure level for shoal.service: (\d+\.\d+)/.exec(stdout)?.[1]
    expect(Number(exposure)).toBeLessThan(1.5)
  })
})
