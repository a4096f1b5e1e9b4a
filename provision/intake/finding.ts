/** What an intake can find wrong. Closed list: reports and pages switch on it. The first block stops the intake; nothing goes in. */
export const FATAL_CODES = [
  'wrong-job', // no drive of this job is among those given
  'wrong-device', // the authority knows no such device in this job
  'order-refused', // the order does not bear the provider's signature
  'checkpoint-missing', // a number is missing in the chain
  'chain-broken', // a checkpoint is not signed by the device, does not follow, or contradicts the one before
  'chain-forked', // two signed checkpoints have one number
  'grant-unknown', // a checkpoint names a grant that was not issued to this device
  'not-sealed', // the chain does not end in a seal
  'not-fresh', // nothing shows that this is the newest seal
] as const
export const CODES = [
  ...FATAL_CODES,
  'drive-of-another', // volume.json names another job or device: the drive was left aside
  'volume-damaged', // volume.json cannot be read
  'drive-missing', // signed as part of the set, not among the drives given
  'grant-mismatch', // the grant file on a drive is not the one that was issued
  'checkpoint-damaged', // a copy of a checkpoint; another drive has a good one
  'pack-missing',
  'pack-unknown', // a pack that the seal does not name
  'pack-duplicate',
  'pack-header-damaged',
  'pack-length', // longer or shorter than was signed
  'pack-head', // its frames do not end in the signed checksum
  'frame-damaged', // or frames that do not follow each other
  'leaf-missing', // part of the tree could not be rebuilt
  'leaf-conflict', // one place of the tree, two leaves
  'key-record-refused', // not signed by the device, or the authority does not open it
  'object-missing', // signed, and in none of the packs
  'object-unsigned', // in a pack, and never signed
  'envelope-changed', // not the envelope that was signed
  'body-damaged',
  'metadata-damaged', // the name cannot be opened
  'part-missing', // a composite lists a part that is not there
  'name-outside-order', // the bucket is none of the order's
  'bucket-foreign', // the bucket belongs to another account
  'key-refused', // the authority could not open the object's key in its context
] as const
export type FindingCode = (typeof CODES)[number]
export type Finding = { code: FindingCode; message: string }

export function isFatal(code: FindingCode): boolean {
  return FATAL_CODES.some(each => each === code)
}

export type IntakeFault =
  | 'no-drive' // no directory was given, or none that can be read
  | 'wrong-job' // the drive names a job that is not ordered here
  | 'stopped' // the signal was given; running it again goes on

/** The one error class of `provision/intake/`. What is wrong with a drive is a finding, not an error. */
export class IntakeError extends Error {
  override readonly name = 'IntakeError'
  readonly fault: IntakeFault

  constructor(fault: IntakeFault, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.fault = fault
  }
}
