/** `npm run bench:mirror`: a cluster in front of an upstream with a token server, on shaped links, as a table of figures and what to reach. */
import { runMeasurements } from '../swarm/run.ts'
import { cut, hangs } from './measurements/away.ts'
import { cold, fetcherKilled } from './measurements/cold.ts'
import { firstByte } from './measurements/first-byte.ts'
import { tags } from './measurements/tags.ts'

const usage = `npm run bench:mirror -- [options]

  --only NAME      measure this alone (repeatable): NAMES
  --reps N         turns of each measurement (default 3)
  --scale X        multiply all sizes and counts by this (default 1); smaller ones are for trying it
  --mbit N         speed of every shaped link, both ways (default 25; with more, processors are the limit)
  --hosts N        hosts of the cluster (default 6)
  --json FILE      write all samples there
  --keep           leave the temporary folder, with the nodes' logs, and tell where it is
  --dir DIR        where the temporary folder is made (default the system's); its path must be short
`

const measurements = [cold, fetcherKilled, firstByte, tags, cut, hangs]

process.exitCode = await runMeasurements({
  command: 'npm run bench:mirror',
  usage,
  measurements,
  defaults: { hosts: '6' },
})
