/** The one global of browsers, workers, and Node that the core uses; it is compiled without the DOM's types. */
declare class TextDecoder {
  decode(bytes: Uint8Array): string;
}
