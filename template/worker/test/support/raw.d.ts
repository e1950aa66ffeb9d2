/** A file as the text in it. */
declare module "*?raw" {
  const text: string;
  export default text;
}
