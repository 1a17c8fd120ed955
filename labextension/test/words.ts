/** A translation bundle that leaves texts in English. */

export const words = {
  __: (text: string, ...values: (string | number)[]): string =>
    text.replace(/%(\d+)/g, (_, place) => String(values[Number(place) - 1]))
};
