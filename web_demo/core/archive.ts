/** Files in the zip archive at the end of a TFLite file. */

import { ModelFileError } from "./errors.js";

const END_OF_ARCHIVE = 0x06054b50;
const END_SIZE = 22;
const ENTRY = 0x02014b50;
const ENTRY_SIZE = 46;
const LOCAL_ENTRY = 0x04034b50;
const LOCAL_SIZE = 30;
const MAX_COMMENT_SIZE = 0xffff;
const STORED = 0;

/**
 * Return the UTF-8 text of a file in the archive, or undefined if there is no such file.
 *
 * ModelFileError if it is compressed: the exporter stores files as they are.
 */
export function associatedFile(file: Uint8Array, name: string): string | undefined {
  const bytes = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const end = endOfArchive(bytes);
  if (end === undefined) return undefined;
  let at = bytes.getUint32(end + 16, true);
  while (at + ENTRY_SIZE <= end && bytes.getUint32(at, true) === ENTRY) {
    const nameLength = bytes.getUint16(at + 28, true);
    if (text(file, at + ENTRY_SIZE, nameLength) === name) return contentOf(file, bytes, at);
    at += ENTRY_SIZE + nameLength + bytes.getUint16(at + 30, true) + bytes.getUint16(at + 32, true);
  }
  return undefined;
}

function endOfArchive(bytes: DataView): number | undefined {
  const last = bytes.byteLength - END_SIZE;
  for (let at = last; at >= Math.max(last - MAX_COMMENT_SIZE, 0); at--) {
    if (bytes.getUint32(at, true) === END_OF_ARCHIVE) return at;
  }
  return undefined;
}

/** Return the content of the file whose directory entry is at `entry`. */
function contentOf(file: Uint8Array, bytes: DataView, entry: number): string | undefined {
  const method = bytes.getUint16(entry + 10, true);
  if (method !== STORED) {
    throw new ModelFileError(
      `the model spec is compressed (method ${method}), expected it stored: export the model again`,
    );
  }
  const size = bytes.getUint32(entry + 20, true);
  const local = bytes.getUint32(entry + 42, true);
  if (local + LOCAL_SIZE > entry || bytes.getUint32(local, true) !== LOCAL_ENTRY) return undefined;
  const begin = local + LOCAL_SIZE + bytes.getUint16(local + 26, true) + bytes.getUint16(local + 28, true);
  return begin + size > entry ? undefined : text(file, begin, size);
}

function text(file: Uint8Array, begin: number, size: number): string {
  return new TextDecoder().decode(file.subarray(begin, begin + size));
}
