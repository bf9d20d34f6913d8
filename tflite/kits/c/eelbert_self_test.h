/* The first thing to run on a board: whether the model gives what it gave on the machine that converted it. */
#ifndef EELBERT_SELF_TEST_H
#define EELBERT_SELF_TEST_H

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Runs the EELBERT_TESTS texts of eelbert_model_tests.inc. Call it after eelbert_init.
 *
 * Returns 0 where every score, number and span is as expected, but for EELBERT_TEST_TOLERANCE; the number of texts with
 * others, where a kernel computes something else; or an error of eelbert_classifier.h.
 */
int eelbert_self_test(void);

#ifdef __cplusplus
}
#endif

#endif
