/** `npm run bench:swarm`: blobs between nodes on shaped links of this machine, as a table of figures and what to reach. */
import { fanout, sixteen } from './measurements/fanout.ts'
import { killed } from './measurements/killed.ts'
import { late } from './measurements/late.ts'
import { layers } from './measurements/layers.ts'
import { lazy } from './measurements/lazy.ts'
import { link, noise } from './measurements/link.ts'
import { regimeMeasurements } from './measurements/regimes.ts'
import { sites } from './measurements/sites.ts'
import { warm } from './measurements/warm.ts'
import { usage } from './options.ts'
import { runMeasurements } from './run.ts'

const measurements = [
  ...regimeMeasurements,
  fanout,
  layers,
  lazy,
  sixteen,
  sites,
  late,
  killed,
  warm,
  link,
  noise,
]

process.exitCode = await runMeasurements({ command: 'npm run bench:swarm', usage, measurements })
