import { afterEach, expect, it, vi } from 'vitest'

const peer = '12D3KooWEWNqAzKLGnWgLenFRFdNFLdy7SSXKcxnKRXw2R5HRZoZ'

afterEach(() => void vi.unstubAllEnvs())

it('calls hosts by their names in colours too', async () => {
  vi.stubEnv('FORCE_COLOR', '1')
  const { renderDiagnoses } = await import('../../../node/screen/doctor-screen.ts')
  const { diagnosesInWords } = await import('../../../node/doctor/doctor.ts')
  const { calledBy } = await import('../../../node/command-line/called.ts')
  const found = `${peer} refuses connections`
  const diagnoses = [{ check: 'members', level: 'fault' as const, found, advice: `start ${peer}` }]
  const { inWords } = calledBy({ [peer]: 'host-b' })
  const shown = renderDiagnoses(diagnosesInWords(diagnoses, inWords), { isAnothersNode: false })
  expect(shown).toContain('\u001b[1mmembers    \u001b[22mhost-b refuses connections')
  expect(shown).toContain('start host-b')
})

it('does not end with nothing wrong alone where no node runs', async () => {
  const { renderDiagnoses } = await import('../../../node/screen/doctor-screen.ts')
  const stopped = { check: 'node', level: 'note' as const, found: 'no node runs on this data directory' }
  const other = { check: 'docker', level: 'note' as const, found: 'no dockerd is here' }
  const endOf = (...diagnoses: (typeof stopped)[]) =>
    renderDiagnoses(diagnoses, { isAnothersNode: false }).trimEnd().split('\n').at(-1)
  expect(endOf(stopped, other)).toBe('Nothing else is wrong, but no node runs.')
  expect(endOf(other)).toBe('Nothing is wrong.')
})
