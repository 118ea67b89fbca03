/** What a node is told, read from flags, then the environment, then the config file, then defaults. */
import { resolve } from 'node:path'
import { checkDataPath, checkTls, checkUpstreamNames } from './checks.ts'
import { readConfigFile } from './config-file.ts'
import { checkEnvironment, environmentName } from './environment.ts'
import { type ExtraFlag, type ExtraValues, parseFlags } from './flags.ts'
import { allSettings, fallbackOf, type Settings, table } from './table.ts'
import { readValue } from './value.ts'

export { speaksTls } from './checks.ts'
export { type ExtraFlag, flagsOfSettings, readFlag } from './flags.ts'
export { allSettings, type SettingName, type Settings } from './table.ts'
export { UsageError } from './usage-error.ts'

/**
 * Reads all settings from everywhere that may set them. Throws UsageError before anything is opened.
 * `rest` holds the words that are no flags, and `extra` the flags of the command, which may have the name of a setting.
 */
export function readSettings<const F extends Record<string, ExtraFlag> = Record<never, ExtraFlag>>(
  args: string[],
  environment: NodeJS.ProcessEnv,
  extra?: F,
): { settings: Settings; rest: string[]; extra: ExtraValues<F> } {
  const { values, positionals } = parseFlags(args, extra ?? {})
  checkEnvironment(environment)
  const configPath = typeof values.config === 'string' ? values.config : environment.SHOAL_CONFIG
  const config = configPath === undefined ? {} : readConfigFile(configPath)
  const entries = allSettings.map((name) => {
    const candidates: [string, unknown][] = [
      [`--${name}`, Object.hasOwn(extra ?? {}, name) ? undefined : values[name]],
      [environmentName(name), environment[environmentName(name)]],
      [`"${name}" in ${configPath}`, config[name]],
      ['the default', fallbackOf(name)],
    ]
    const [source, given] = candidates.find(([, value]) => value !== undefined) ?? ['', undefined]
    return [name, readValue(table[name], source, given, configPath)]
  })
  const settings = Object.fromEntries(entries) as Settings
  settings.data = resolve(settings.data)
  checkUpstreamNames(settings.upstream)
  checkDataPath(settings.data)
  checkTls(settings)
  const extras = Object.fromEntries(Object.keys(extra ?? {}).map((name) => [name, values[name]]))
  return { settings, rest: positionals, extra: extras as ExtraValues<F> }
}
