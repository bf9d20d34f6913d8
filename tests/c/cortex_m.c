/* Starts a test program on a bare Cortex-M3, M4F or M55 in QEMU, with newlib's semihosting for its files and output. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

extern uint32_t stack_top[];
extern int main(int argc, char **argv);
extern void initialise_monitor_handles(void);
extern void _exit(int status) __attribute__((noreturn));

/* Coprocessor Access Control Register: a floating-point unit is off after reset. */
#define CPACR (*(volatile uint32_t *)0xE000ED88)

static void reset(void)
{
#ifdef __ARM_FP
    CPACR |= 0xFu << 20;
    __asm__ volatile("dsb\n\tisb");
#endif
    initialise_monitor_handles();
    int status = main(0, NULL);
    fflush(stdout);
    _exit(status);
}

static void fault(void)
{
    puts("fault");
    fflush(stdout);
    _exit(3);
}

/* QEMU's loader puts data where it belongs and clears the rest, so there is nothing else to do before main. */
__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    void (*reset)(void);
    void (*faults[6])(void);
} vectors = {stack_top, reset, {fault, fault, fault, fault, fault, fault}};
