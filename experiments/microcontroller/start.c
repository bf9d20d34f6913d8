/* What runs before main on a Cortex-M of QEMU, with the host's files through semihosting. */
#include <stdint.h>
#include <stdlib.h>

extern char stack_top[], __init_array_start[], __init_array_end[];
void initialise_monitor_handles(void);
int main(void);

void *__dso_handle; /* of a program, where C++ registers what runs at its end */

void _fini(void)
{
}

static void stuck(void)
{
    abort();
}

void reset(void)
{
    volatile uint32_t *const cpacr = (volatile uint32_t *)0xE000ED88; /* coprocessor access control: FPU and MVE on */

    *cpacr |= 0xFu << 20;
    initialise_monitor_handles();
    for (void (**function)(void) = (void (**)(void))__init_array_start;
         function != (void (**)(void))__init_array_end; function++)
        (*function)();
    exit(main());
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    stack_top, (void *)reset, (void *)stuck, (void *)stuck, (void *)stuck, (void *)stuck, (void *)stuck, (void *)stuck,
};
