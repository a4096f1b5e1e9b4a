import type { KeyObject } from 'node:crypto'
import { bodyLength } from '../../../format/body.ts'
import { equalBytes } from '../../../format/bytes.ts'
import type { ObjectContext } from '../../../format/context.ts'
import { coreHeaderHash, floeAad, parseCoreHeader } from '../../../format/core-header.ts'
import {
  COMPOSITE,
  type CompositePart,
  compositeHeaderHash,
  type Envelope,
  type EnvelopeKind,
  openEnvelope,
} from '../../../format/envelope.ts'
import { Floe } from '../../../format/floe.ts'
import { denied } from '../refusal.ts'

/** Hash of the header that an envelope binds; a composite has none. */
export function headerHash(kind: EnvelopeKind, objectId: ObjectContext['objectId'], coreHeader: Uint8Array): Buffer {
  if (kind !== COMPOSITE) return coreHeaderHash(coreHeader)
  if (coreHeader.length > 0) throw denied('a composite has no core header')
  return compositeHeaderHash(objectId)
}

/** That the key is this body's: the FLOE header tag commits to it. Lengths must be those of one body. */
export function checkBody(
  body: Pick<Envelope, 'kind' | 'objectId' | 'plaintextLength' | 'bodyLength'>,
  coreHeader: Uint8Array,
  objectKey: Uint8Array,
): void {
  if (body.kind === COMPOSITE) return
  const core = parseCoreHeader(coreHeader)
  if (core.objectId !== body.objectId) throw denied('the core header is of another object')
  if (bodyLength(body.plaintextLength, core.segmentBytes) !== body.bodyLength)
    throw denied('body and plaintext lengths do not belong together')
  const { segmentBytes } = core
  Floe.open(objectKey, floeAad(coreHeader), core.floeHeader, { segmentBytes, rotationBits: 20 }).close()
}

/** The object key of an envelope in its context, checked against the body's header. @throws FormatError | ReleaseError "denied" */
export function openObjectKey(
  wrapKey: KeyObject,
  envelope: Envelope,
  coreHeader: Uint8Array,
  context: ObjectContext,
): Buffer {
  const core = headerHash(envelope.kind, envelope.objectId, coreHeader)
  const key = openEnvelope(wrapKey, envelope, core, context)
  checkBody(envelope, coreHeader, key)
  return key
}

/** Whether a part is what its composite's authenticated list says. */
export function isListed(part: Envelope, listed: CompositePart | undefined): boolean {
  return (
    listed !== undefined &&
    listed.plaintextLength === part.plaintextLength &&
    listed.bodyLength === part.bodyLength &&
    listed.digestId === part.digestId &&
    equalBytes(listed.digest, part.digest)
  )
}
