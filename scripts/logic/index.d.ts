/** An attribute of the DICOM JSON Model (PS3.18 F.2). */
export interface Attribute {
  vr: string;
  Value?: unknown[];
  InlineBinary?: string;
  BulkDataURI?: string;
}
/** Attributes by tag: eight upper-case hexadecimal digits. */
export type Dataset = { [tag: string]: Attribute };
/** A document as docs/documents.md describes it: an instance, or the header of a series or study. */
export interface Document {
  _id: string;
  type: string;
  dataset?: Dataset;
  [name: string]: unknown;
}
/** A row of a view. */
export interface Row {
  id: string;
  key: unknown;
  value: unknown;
  doc?: Document;
}
/** Matching keys: `{ tag: { vr, values } }`, and `{ tag: { vr: 'SQ', items } }` for sequences (PS3.4 C.2.2.2). */
export type Keys = {
  [tag: string]: { vr: string; values?: string[]; items?: Keys; fuzzy?: boolean; every?: boolean; empty?: boolean; time?: string };
};
export interface RowOptions {
  keys?: unknown[];
  startkey?: unknown;
  endkey?: unknown;
  descending?: boolean;
  include_docs?: boolean;
}
/** What a search reads: rows of the views, and documents. */
export interface Source {
  rows(view: string, options?: RowOptions): Promise<Row[]>;
  docs(ids: string[]): Promise<Row[]>;
}
/** As much of a PouchDB as is used. */
export interface PouchLike {
  query(view: string, options: object): Promise<{ rows: any[] }>;
  allDocs(options: object): Promise<{ rows: any[] }>;
  get(id: string): Promise<any>;
  put(doc: any): Promise<any>;
  bulkDocs(docs: any[]): Promise<any[]>;
}
export interface Found {
  /** DICOM JSON, as the server answers it. */
  rows: Dataset[];
  /** How many further rows `maximum` cut off. */
  remaining: number;
  /** Parameters that mean nothing, which a server names in a Warning. */
  ignored: string[];
}

/**
 * Searches (QIDO-RS, PS3.18 10.6).
 * @param source documents, a PouchDB, or a source of one's own
 * @param target resource and query string: `/studies?PatientName=DOE*`
 * @param options base: URL of the DICOMweb root, for RetrieveURL; maximum: most rows, 1000
 * @throws QueryError for what a server refuses
 */
export function search(
  source: Document[] | PouchLike | Source, target: string, options?: { base?: string; maximum?: number }
): Promise<Found>;

/** Reads a resource and its query string. */
export function parse(target: string, maximum: number): { query: any; study: string | null; series: string | null };

/** What a server refuses; `status` is what it says. */
export class QueryError extends Error {
  status: number;
}

/** lib/match/match: a test of data sets. */
export const match: { compile(keys: Keys): ((dataset: Dataset) => boolean) & { all: boolean } };
/** lib/match/fuzzy: a test of names by words and sound. */
export const fuzzy: { compile(name: string): (stored: { Alphabetic?: string; Ideographic?: string; Phonetic?: string }) => boolean };
/** lib/search/fields: rows as text, with the attributes that are asked for. */
export const fields: {
  renderer(level: 'patient' | 'study' | 'series' | 'instance', options: { include?: 'all' | object; only?: boolean; base?: string }):
    (record: { dataset: Dataset }, id: string) => string;
};
/** lib/metadata/metadata: metadata of instances as text (PS3.18 F.2.2). */
export const metadata: {
  text(dataset: Dataset): string;
  absolute(text: string, base: string, id: string): string;
  render(doc: Document, base: string, corrections: object[]): string;
};
/** lib/metadata/modified: what corrections change in an instance's data set. */
export const modified: { changes(doc: Document, corrections: object[]): object[]; dataset(doc: Document, corrections: object[]): Dataset };
/** views/lib/normalise: search keys of texts and names. */
export const normalise: { text(value: string): string; name(value: string): string };
/** views/lib/sound: how the word of a name sounds. */
export const sound: { code(word: string): string; words(name: string): string[] };
/** views/lib/names: the spellings, sounds and beginnings of names. */
export const names: {
  spellings(dataset: Dataset, tag: string): string[];
  sounds(dataset: Dataset, tag: string): string[];
  beginnings(values: string[]): string[];
  containing(dataset: Dataset): string[][];
};
/** Headers of studies and series: one merged with an update, and those that documents need. */
export const headers: {
  merge(type: 'study' | 'series', id: string, doc: Document | null, update: object): Document;
  of(documents: Document[]): Document[];
};
/** The views' map functions: what each emits for a document. */
export const views: { [name: string]: (doc: Document) => { key: unknown; value: unknown }[] };
/** The list functions: what each answers for rows of a view. */
export const lists: { [name: string]: (rows: Row[], query: object) => any };
/** The views as a design document whose map functions need no `require`. */
export function designDocument(): { language: string; views: { [name: string]: { map: string; reduce?: string } } };
/** Plain documents as a source; it keeps the indexes that it made. */
export class Documents implements Source {
  constructor(docs: Document[]);
  rows(view: string, options?: RowOptions): Promise<Row[]>;
  docs(ids: string[]): Promise<Row[]>;
}
/** A PouchDB as a source; it keeps `_design/dicouch-logic` there. */
export class Pouch implements Source {
  constructor(db: PouchLike);
  rows(view: string, options?: RowOptions): Promise<Row[]>;
  docs(ids: string[]): Promise<Row[]>;
}
/** DICOM JSON of what `dcmjs.data.DicomMessage.readFile` gave. */
export function fromDcmjs(read: { meta: object; dict: object }): Dataset;
/** The document of an instance that is in no archive. */
export function instanceDocument(dataset: Dataset, file?: { transferSyntax?: string; size?: number }): Document;
/** Parses files with dcmjs and puts their documents and headers into a PouchDB. */
export function addFiles(db: PouchLike, files: File[], dcmjs: any): Promise<{ added: string[]; failed: string[] }>;
/** The tag of a keyword (PS3.6). */
export function tagOf(keyword: string): string | undefined;
/** The VR of a tag (PS3.6); UN where the file decides. */
export function vrOf(tag: string): string;
/** Any module of the design document by its name there. */
export function load(name: string): any;
