/** `npm run bench:copies`: what copies of pushed images cost and how soon they are there, as a table of figures and what to reach. */
import { twoSites } from '../swarm/measurements/sites.ts'
import { runMeasurements } from '../swarm/run.ts'
import { ack } from './measurements/ack.ts'
import { cut } from './measurements/cut.ts'
import { look } from './measurements/look.ts'
import { lost } from './measurements/lost.ts'
import { room } from './measurements/room.ts'
import { second } from './measurements/second.ts'

const usage = `npm run bench:copies -- [options]

  --only NAME      measure this alone (repeatable): NAMES
  --reps N         turns of each measurement (default 3)
  --scale X        multiply all sizes, counts and pauses by this (default 1); smaller ones are for trying it
  --mbit N         speed of every shaped link, both ways (default 1000)
  --hosts N        hosts beside the one that is pushed to (default 7)
  --json FILE      write all samples there
  --keep           leave the temporary folder, with the nodes' logs, and tell where it is
  --dir DIR        where the temporary folder is made (default the system's); its path must be short
`

process.exitCode = await runMeasurements({
  command: 'npm run bench:copies',
  usage,
  measurements: [second, ack, lost, cut, look, room, twoSites({ mebibytes: 64, atMostCopies: 1.2 })],
  defaults: { hosts: '7', mbit: '1000' },
})
