/**
 * Makes `test/vectors/sealift/*.json`: `node test/vectors/make.ts FOLDER`. Bodies, trees and CBOR come out the same every time; what is signed or
 * sealed with random nonces is captured once and kept.
 */
import fs from 'node:fs'
import { makeSmallDrive } from '../format/small-drive.ts'
import { writeBodies } from './drafts/bodies.ts'
import { writeEncoding } from './drafts/encoding.ts'
import { writeEnvelopes } from './drafts/envelopes.ts'
import { writeExports } from './drafts/exports.ts'
import { writeJourney } from './drafts/journey.ts'
import { writeMessages } from './drafts/messages.ts'
import { writePack } from './drafts/packs.ts'
import { writeSeals } from './drafts/seals.ts'
import { writeTrees } from './drafts/trees.ts'

const folder = process.argv[2]
if (folder === undefined) throw new Error('wanted the folder to write to')
fs.mkdirSync(folder, { recursive: true })

const drive = await makeSmallDrive()
await writeBodies(folder)
await writeEnvelopes(folder, drive)
await writePack(folder, drive)
await writeSeals(folder, drive)
await writeJourney(folder, drive)
await writeExports(folder)
await writeMessages(folder)
await writeEncoding(folder)
await writeTrees(folder)
