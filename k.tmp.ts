import { killRounds } from './test/agent/killing.ts'
import { seeded } from './test/checks/faults/random.ts'
const seed = Number(process.argv[2])
const found = await killRounds({ rounds: Number(process.argv[3] ?? 50), random: seeded(seed, 'kill'), onRound: r => { process.stdout.write(`${r} `) } })
console.log('\n', seed, JSON.stringify(found))
